// One side of a session of hashicorp/yamux for tests/interop/yamux: serves streams, or opens some and checks what comes back. Its
// options are those of the example yamux_peer. It prints "ready ADDRESS" when it listens and one line of JSON at the end; the
// exit status is 0 if all that was expected happened.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

var (
	role      = flag.String("role", "", "client or server; who connects is the client otherwise")
	serve     = flag.String("serve", "echo", "echo, sink, source, half, hold, reset, goaway or deaf")
	do        = flag.String("do", "", "echo, upload, download, half, many, reset, expect-reset, refused, window, ping, goaway or idle")
	n         = flag.Int64("n", 1<<20, "bytes on each stream, -1 up to the end")
	streams   = flag.Int("streams", 1, "streams at the same time")
	chunk     = flag.Int("chunk", 64<<10, "bytes in a write")
	rate      = flag.Int64("rate", 0, "bytes read in a second")
	resets    = flag.Int("resets", 0, "expect-reset: how many, 0 for all")
	window    = flag.Uint("window", 256<<10, "MaxStreamWindowSize")
	backlog   = flag.Int("backlog", 256, "AcceptBacklog")
	keepalive = flag.Duration("keepalive", 0, "KeepAliveInterval, 0 for none")
	stay      = flag.Duration("stay", 0, "idle: how long")
	limit     = flag.Duration("limit", time.Minute, "how long all of it may take")
)

var sent, got, opened, wasReset int64

func at(offset int64) byte { return byte(offset ^ offset>>8 ^ offset>>16) }

// The library has no call that resets a stream, so that frame is put between two of the library's, which writes a header and its
// body in two calls.
type tapped struct {
	net.Conn
	lock   sync.Mutex
	header []byte
	body   int
	idle   *sync.Cond
}

func tap(inner net.Conn) *tapped {
	t := &tapped{Conn: inner}
	t.idle = sync.NewCond(&t.lock)
	return t
}

func (t *tapped) Write(bytes []byte) (int, error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for rest := bytes; len(rest) > 0; {
		if t.body > 0 {
			k := min(t.body, len(rest))
			t.body, rest = t.body-k, rest[k:]
			continue
		}
		k := min(12-len(t.header), len(rest))
		t.header, rest = append(t.header, rest[:k]...), rest[k:]
		if len(t.header) == 12 {
			if t.header[1] == 0 {
				t.body = int(binary.BigEndian.Uint32(t.header[8:]))
			}
			t.header = nil
		}
	}
	count, err := t.Conn.Write(bytes)
	t.idle.Broadcast()
	return count, err
}

func (t *tapped) reset(stream uint32) error {
	frame := make([]byte, 12)
	frame[1], frame[3] = 1, 8
	binary.BigEndian.PutUint32(frame[4:], stream)
	t.lock.Lock()
	defer t.lock.Unlock()
	for t.body > 0 || len(t.header) > 0 {
		t.idle.Wait()
	}
	_, err := t.Conn.Write(frame)
	return err
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// put writes the first total bytes of a stream.
func put(to io.Writer, total int64) error {
	bytes := make([]byte, *chunk)
	for offset := int64(0); offset < total; {
		part := bytes
		if left := total - offset; left < int64(len(part)) {
			part = part[:left]
		}
		for i := range part {
			part[i] = at(offset + int64(i))
		}
		count, err := to.Write(part)
		atomic.AddInt64(&sent, int64(count))
		if err != nil {
			return err
		}
		offset += int64(count)
	}
	return nil
}

// take reads and checks total bytes, or all up to the end.
func take(from io.Reader, total int64) (int64, error) {
	bytes := make([]byte, 64<<10)
	if *rate > 0 && *rate/20 < int64(len(bytes)) {
		bytes = bytes[:*rate/20+1]
	}
	begin, offset := time.Now(), int64(0)
	for total < 0 || offset < total {
		part := bytes
		if left := total - offset; total >= 0 && left < int64(len(part)) {
			part = part[:left]
		}
		count, err := from.Read(part)
		for i, b := range part[:count] {
			if b != at(offset+int64(i)) {
				return offset, fmt.Errorf("at %d is %d, not %d", offset+int64(i), b, at(offset+int64(i)))
			}
		}
		offset += int64(count)
		atomic.AddInt64(&got, int64(count))
		if err == io.EOF && total < 0 {
			return offset, nil
		}
		if err != nil {
			return offset, fmt.Errorf("after %d bytes: %w", offset, err)
		}
		if *rate > 0 {
			due := time.Duration(float64(offset) / float64(*rate) * float64(time.Second))
			time.Sleep(due - time.Since(begin))
		}
	}
	return offset, nil
}

func serveOne(s *yamux.Stream, wire *tapped) error {
	defer s.Close()
	switch *serve {
	case "echo":
		_, err := io.Copy(s, s)
		return err
	case "goaway":
		if err := s.Session().GoAway(); err != nil {
			return err
		}
		_, err := io.Copy(s, s)
		return err
	case "sink":
		count, err := take(s, *n)
		if err != nil {
			return err
		}
		return binary.Write(s, binary.BigEndian, uint64(count))
	case "source":
		return put(s, *n)
	case "half":
		if _, err := take(s, -1); err != nil {
			return err
		}
		return put(s, *n)
	case "reset":
		if _, err := take(s, *n); err != nil {
			return err
		}
		return wire.reset(s.StreamID())
	}
	return fmt.Errorf("-serve %s is not known", *serve)
}

func accept(session *yamux.Session, wire *tapped, failed chan<- error) {
	for *serve != "deaf" {
		s, err := session.AcceptStream()
		if err != nil {
			return
		}
		if *serve == "hold" {
			continue
		}
		go func() {
			err := serveOne(s, wire)
			if errors.Is(err, yamux.ErrConnectionReset) {
				atomic.AddInt64(&wasReset, 1)
			} else if err != nil && *do == "" {
				select {
				case failed <- fmt.Errorf("stream %d: %w", s.StreamID(), err):
				default:
				}
			}
		}()
	}
}

func open(session *yamux.Session) (*yamux.Stream, error) {
	atomic.AddInt64(&opened, 1)
	return session.OpenStream()
}

func echo(s *yamux.Stream, total int64) error {
	wrote := make(chan error, 1)
	go func() { wrote <- put(s, total) }()
	if _, err := take(s, total); err != nil {
		return err
	}
	return <-wrote
}

// each does something with -streams streams at the same time.
func each(session *yamux.Session, with func(*yamux.Stream) error) error {
	done := make(chan error, *streams)
	for i := 0; i < *streams; i++ {
		s, err := open(session)
		if err != nil {
			return err
		}
		go func() { done <- with(s) }()
	}
	for i := 0; i < *streams; i++ {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func within(patience time.Duration, what string, holds func() bool) error {
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %s", what, patience)
		}
	}
	return nil
}

func act(session *yamux.Session, wire *tapped) error {
	closing := func(f func(*yamux.Stream) error) func(*yamux.Stream) error {
		return func(s *yamux.Stream) error {
			if err := f(s); err != nil {
				return err
			}
			return s.Close()
		}
	}
	echoes := closing(func(s *yamux.Stream) error { return echo(s, *n) })
	switch *do {
	case "echo":
		return each(session, echoes)
	case "upload":
		return each(session, closing(func(s *yamux.Stream) error {
			var counted uint64
			if err := put(s, *n); err != nil {
				return err
			}
			if err := binary.Read(s, binary.BigEndian, &counted); err != nil {
				return err
			}
			if counted != uint64(*n) {
				return fmt.Errorf("the other side counted %d of %d", counted, *n)
			}
			return nil
		}))
	case "download":
		return each(session, closing(func(s *yamux.Stream) error {
			count, err := take(s, -1)
			if err == nil && count != *n {
				err = fmt.Errorf("%d bytes and the end, not %d", count, *n)
			}
			return err
		}))
	case "half":
		return each(session, func(s *yamux.Stream) error {
			if err := put(s, 1024); err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			// The library of 2019 says "end" after its own close whenever nothing is buffered. So ask again.
			var count int64
			bytes := make([]byte, 64<<10)
			return within(10*time.Second, "bytes after this side's end", func() bool {
				k, _ := s.Read(bytes)
				for i := range bytes[:k] {
					if bytes[i] != at(count+int64(i)) {
						return false
					}
				}
				count += int64(k)
				return count == *n
			})
		})
	case "many":
		var all []*yamux.Stream
		for i := 0; i < *streams; i++ {
			s, err := open(session)
			if err != nil {
				return err
			}
			if err := echo(s, 1); err != nil {
				return err
			}
			all = append(all, s)
		}
		for _, s := range all {
			s.Close()
		}
		return within(5*time.Second, "all streams end", func() bool { return session.NumStreams() == 0 })
	case "reset":
		err := each(session, func(s *yamux.Stream) error {
			if err := put(s, *n); err != nil {
				return err
			}
			return wire.reset(s.StreamID())
		})
		if err != nil {
			return err
		}
		s, err := open(session)
		if err != nil {
			return err
		}
		return closing(func(s *yamux.Stream) error { return echo(s, 1000) })(s)
	case "expect-reset":
		expected := *resets
		if expected == 0 {
			expected = *streams
		}
		ends := make(chan error, *streams)
		for i := 0; i < *streams; i++ {
			s, err := open(session)
			if err != nil {
				return err
			}
			go func() {
				err := put(s, *n)
				if err == nil {
					_, err = io.Copy(io.Discard, s)
				}
				ends <- err
			}()
		}
		for i := 0; i < expected; i++ {
			select {
			case err := <-ends:
				if !errors.Is(err, yamux.ErrConnectionReset) {
					return fmt.Errorf("not a reset but %v", err)
				}
				atomic.AddInt64(&wasReset, 1)
			case <-time.After(10 * time.Second):
				return fmt.Errorf("%d resets, not %d", i, expected)
			}
		}
		time.Sleep(200 * time.Millisecond)
		if len(ends) > 0 {
			return fmt.Errorf("more than %d streams were reset", expected)
		}
		_, err := session.Ping()
		return err
	case "refused":
		first, err := open(session)
		if err != nil {
			return err
		}
		err = within(5*time.Second, "GoAway", func() bool {
			if echo(first, 1) != nil {
				return false
			}
			s, err := session.OpenStream()
			if err == nil {
				s.Close()
			}
			return errors.Is(err, yamux.ErrRemoteGoAway)
		})
		if err != nil {
			return err
		}
		return echoes(first)
	case "window":
		s, err := open(session)
		if err != nil {
			return err
		}
		s.SetWriteDeadline(time.Now().Add(time.Second))
		if put(s, 2**n) == nil || atomic.LoadInt64(&sent) != *n {
			return fmt.Errorf("the window is %d, not %d", sent, *n)
		}
		_, err = session.Ping()
		return err
	case "ping":
		done := make(chan error, *streams)
		for i := 0; i < *streams; i++ {
			go func() {
				var err error
				for k := int64(0); k < *n && err == nil; k++ {
					_, err = session.Ping()
				}
				done <- err
			}()
		}
		for i := 0; i < *streams; i++ {
			if err := <-done; err != nil {
				return err
			}
		}
		return nil
	case "goaway":
		s, err := open(session)
		if err != nil {
			return err
		}
		if err := session.GoAway(); err != nil {
			return err
		}
		if err := echoes(s); err != nil {
			return err
		}
		return each(session, echoes)
	case "idle":
		for i := 0; i < *streams; i++ {
			s, err := open(session)
			if err != nil {
				return err
			}
			if err := echo(s, *n); err != nil {
				return err
			}
		}
		time.Sleep(*stay)
		_, err := session.Ping()
		return err
	}
	return fmt.Errorf("-do %s is not known", *do)
}

func finish(err error) {
	report := map[string]interface{}{"ok": err == nil, "streams": opened, "sent": sent, "got": got, "resets": wasReset}
	if err != nil {
		report["error"] = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(report)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func connection(address string) (net.Conn, error) {
	if *do != "" {
		return net.Dial("tcp", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	fmt.Println("ready", listener.Addr())
	return listener.Accept()
}

func main() {
	address := os.Args[1]
	flag.CommandLine.Parse(os.Args[2:])
	time.AfterFunc(*limit, func() { finish(fmt.Errorf("not done after %s", *limit)) })
	raw, err := connection(address)
	if err != nil {
		finish(err)
	}
	config := yamux.DefaultConfig()
	config.MaxStreamWindowSize, config.AcceptBacklog = uint32(*window), *backlog
	config.EnableKeepAlive = *keepalive > 0
	if *keepalive > 0 {
		config.KeepAliveInterval = *keepalive
	}
	config.LogOutput = io.Discard
	wire := tap(raw)
	make := yamux.Server
	if *role == "client" || *role == "" && *do != "" {
		make = yamux.Client
	}
	session, err := make(wire, config)
	if err != nil {
		finish(err)
	}
	failed := newFailures()
	go accept(session, wire, failed)
	if *do != "" {
		err = act(session, wire)
		session.Close()
		finish(err)
	}
	<-session.CloseChan()
	time.Sleep(50 * time.Millisecond)
	select {
	case err = <-failed:
	default:
	}
	finish(err)
}

func newFailures() chan error { return make(chan error, 1) }
