"""PostgreSQL and Redis, each reached by its own clients through a pair of tunnels."""

import os
import pwd
import subprocess

from lab import Skipped, wait_until


def _unprivileged():
    """PostgreSQL does not run as root."""
    if os.getuid():
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise Skipped("there is no user postgres, and PostgreSQL does not run as root") from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def postgresql_dump_and_restore(lab):
    """A database is filled, dumped, restored and dumped again through the tunnel; each dump is the one taken without it."""
    initdb, postgres, psql, pg_dump = lab.need("initdb", "postgres", "psql", "pg_dump")
    user = _unprivileged()
    home = lab.path / "postgresql"
    home.mkdir()
    if user:
        os.chown(home, user["user"], user["group"])
    lab.output(initdb, "-D", home / "data", "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", cwd=home, **user)
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={home}", "-c", "fsync=off"]
    lab.start("postgres", postgres, "-D", home / "data", *settings, cwd=home, **user)
    direct = ["-h", home, "-U", "postgres"]
    wait_until(
        lambda: subprocess.run([psql, *direct, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0,
        "PostgreSQL answers",
    )
    server, client = lab.pair(f"unix:{home}/.s.PGSQL.5432")
    host, port = client.host_and_port
    tunneled = ["-h", host, "-p", port, "-U", "postgres"]

    fill = """
        CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, note text, digest bytea);
        INSERT INTO orders SELECT n, to_timestamp(n), repeat(md5(n::text), n % 20), sha512(n::text::bytea)
            FROM generate_series(1, 30000) AS n;
    """
    run = ["-X", "-q", "-v", "ON_ERROR_STOP=1"]
    lab.output(psql, *tunneled, *run, "-c", fill)

    def dump(way, database):
        text = lab.output(pg_dump, *way, database)
        # A random word for psql that recent versions put in.
        return b"".join(line for line in text.splitlines(True) if not line.startswith((b"\\restrict", b"\\unrestrict")))

    expected = dump(direct, "postgres")
    assert len(expected) > 10_000_000, len(expected)
    assert dump(tunneled, "postgres") == expected, "the dump through the tunnel differs"
    lab.output(psql, *tunneled, *run, "-c", "CREATE DATABASE restored")
    lab.output(psql, *tunneled, *run, "-d", "restored", input=expected)
    assert dump(direct, "restored") == expected, "what was restored through the tunnel differs"
    # Every client of PostgreSQL had ended its connection in order.
    for side in (server, client):
        side.wait_for_metric("alts_tunnel_connections_open", 0)
        assert side.metric('alts_tunnel_connections_ended_total{reason="clean"}') == 4, side.log()


def _redis(lab, name, *more):
    server = lab.need("redis-server")
    socket = lab.path / f"{name}.sock"
    quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", lab.path, "--enable-debug-command", "yes"]
    lab.start(name, server, "--port", "0", "--unixsocket", socket, *quiet, *more)
    lab.wait_for_socket(socket)
    return socket


def redis_replication(lab):
    """A replica takes a whole data set, and what is written later, through the tunnel."""
    cli = lab.need("redis-cli")
    original = _redis(lab, "redis")
    copy = _redis(lab, "replica", "--dbfilename", "replica.rdb")
    _, client = lab.pair(f"unix:{original}")
    host, port = client.host_and_port

    def ask(socket, *words):
        return lab.output(cli, "-s", socket, *words).decode().strip()

    ask(original, "DEBUG", "POPULATE", "20000", "key", "500")
    ask(copy, "REPLICAOF", host, str(port))
    wait_until(lambda: "master_link_status:up" in ask(copy, "INFO", "replication"), "the replica has all")
    ask(original, "SET", "late", "written while the replica listens")
    assert ask(original, "WAIT", "1", "0") == "1"
    digest = ask(original, "DEBUG", "DIGEST")
    assert len(digest) == 40 and ask(copy, "DEBUG", "DIGEST") == digest, "the replica differs"


def redis_publishes_to_silent_subscribers(lab):
    """Only the server speaks, after a while; each message arrives by itself."""
    cli = lab.need("redis-cli")
    socket = _redis(lab, "redis")
    server, client = lab.pair(f"unix:{socket}")
    host, port = client.host_and_port
    subscriber = lab.start("subscriber", cli, "-h", host, "-p", port, "SUBSCRIBE", "news")
    subscriber.wait_for_log("subscribe")
    for number in range(20):
        assert lab.output(cli, "-s", socket, "PUBLISH", "news", f"message {number}").strip() == b"1"
        subscriber.wait_for_log(f"message {number}\n")
    server.wait_for_metric('alts_tunnel_pool_bytes{state="in_use"}', 0)
