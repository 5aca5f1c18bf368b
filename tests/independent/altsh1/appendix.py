"""The known answers at the end of PROTOCOL.md, computed again."""

import re

from . import resumption
from .messages import PLAIN, REKEY
from .schedule import Secrets, info, mac, sha256
from .wire import alert_body, alert_frame


# What the text of the part about resumption gives.
RESUMPTION = {
    "psk": bytes(range(32)).hex(),
    "ticket_secret": bytes(range(0xA0, 0xC0)).hex(),
    "key_name": b"key-0001".hex(),
    "salt": bytes(range(0x40, 0x50)).hex(),
    "server": "spiffe://example.org/server",
    "realm": "",
    "client": "spiffe://example.org/client",
    "auth_time": 1700000000,
    "not_after": 1700003600,
    "peer_not_after": 1700086400,
    "trust": sha256(b"trust").hex(),
    "log_id": bytes(range(0x50, 0x60)).hex(),
}

# Rows, and what they are called in `resumption`.
RESUMPTION_ROWS = {
    "res": "res",
    "ticket_key": "ticket_key",
    "ticket_iv": "ticket_iv",
    "k ‖ n": "k | n",
    "ticket": "ticket",
    "resumed early": "early",
    "resumed binder_key": "binder_key",
    "resumed binder": "binder",
    "resumed ServerInit frame": "server_init",
    "resumed TH1": "th1",
    "resumed hs": "hs",
    "resumed s_hs": "s_hs",
    "resumed c_hs": "c_hs",
    "resumed master": "master",
    "resumed server mac over TH3": "server_mac",
    "resumed res next": "res next",
    "resumed key_data (REKEY)": "key_data",
}


def known(protocol):
    """The table: names to bytes."""
    with open(protocol) as file:
        text = file.read().split("\n## Appendix")[1]
    rows = re.findall(r"^\| `([^`]+)` \| `([0-9a-f]+)` \|$", text, re.MULTILINE)
    return {name: bytes.fromhex(value) for name, value in rows}


def computed(table):
    """What this implementation makes of the two frames and the shared secret."""
    th1 = sha256(table["ClientInit frame"] + table["ServerInit frame"])
    th3, th7 = sha256(b"TH3"), sha256(b"TH7")
    secrets = Secrets(table["ss"], th1)
    answers = {
        "TH1": th1,
        "info of derived_early": info("derived", sha256(b""), 32),
        "early": secrets.early,
        "derived_early": secrets.derived_early,
        "hs": secrets.handshake,
        "s_hs": secrets.server.secret,
        "c_hs": secrets.client.secret,
        "derived_hs": secrets.derived_hs,
        "master": secrets.master,
        "server mac over TH3": mac(secrets.server.finished, th3),
        "info of key_data (REKEY)": info(f"rec {REKEY}", th7, 44),
        "key_data (REKEY)": secrets.key_data(REKEY, th7),
        "key_data (plain)": secrets.key_data(PLAIN, th7),
        "log_id": secrets.log_id(th7),
        "Alert frame, code 4": alert_frame(4),
        "Alert frame, code 20": alert_frame("no_identity"),
        "SealedAlert frame from the server, code 11": secrets.server.seal_alert(
            0x4E, alert_body(11)
        ),
    }
    for name, side in [("s_hs", secrets.server), ("c_hs", secrets.client)]:
        answers |= {
            f"message_key of {name}": side.key,
            f"message_nonce of {name}": side.nonce,
            f"alert_key of {name}": side.alert_key,
            f"alert_nonce of {name}": side.alert_nonce,
            f"finished_key of {name}": side.finished,
        }
    given = RESUMPTION | {
        "client_init": table["ClientInit frame"].hex(),
        "server_init": table["ServerInit frame"].hex(),
        "ss": table["ss"].hex(),
        "master": secrets.master.hex(),
        "th3": th3.hex(),
        "th7": th7.hex(),
    }
    resumed = resumption.computed(given)
    answers |= {row: resumed[name] for row, name in RESUMPTION_ROWS.items()}
    return answers


def differences(protocol):
    """Lines on what does not fit. The given values are the two frames and `ss`."""
    table = known(protocol)
    answers = computed(table)
    given = {"ClientInit frame", "ServerInit frame", "ss"}
    missing = [f"{name} is not computed" for name in table.keys() - answers.keys() - given]
    wrong = [
        f"{name}: {answer.hex()}" for name, answer in answers.items() if table.get(name) != answer
    ]
    return len(answers), missing + wrong
