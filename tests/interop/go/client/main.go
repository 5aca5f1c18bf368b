// The client of the interoperability tests with grpc-go: runs cases and prints a line on each.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/alts"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const (
	service        = "/interop.Peer/"
	limit          = 64 << 20
	patience       = 20 * time.Second
	impatience     = 2 * time.Second
	streamMessages = 300
	connections    = 4
	bulk           = 4 << 20
	crowdPatience  = 80 * time.Second
)

var (
	address      = flag.String("address", "", "")
	cases        = flag.String("cases", "", "")
	target       = flag.String("target", "", "")
	expectCaller = flag.String("expect-caller", "", "")
	expectServer = flag.String("expect-server", "", "")
	size         = flag.Int("bytes", 0, "")
	crowd        = flag.Int("crowd", 0, "")
	wait         = flag.Bool("wait", false, "")
)

// raw passes messages on as bytes.
type raw struct{}

func (raw) Marshal(message interface{}) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, message interface{}) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// No other name than this leaves the content type alone.
func (raw) Name() string { return "proto" }

func connect() (*grpc.ClientConn, error) {
	options := alts.DefaultClientOptions()
	if *target != "" {
		options.TargetServiceAccounts = []string{*target}
	}
	return grpc.Dial(*address,
		grpc.WithTransportCredentials(alts.NewClientCreds(options)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.2, MaxDelay: time.Second},
			MinConnectTimeout: patience,
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(limit)))
}

func pattern(size int) []byte {
	message := make([]byte, size)
	for position := range message {
		message[position] = byte(position % 251)
	}
	return message
}

func call(channel *grpc.ClientConn, method string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer []byte
	err := channel.Invoke(ctx, service+method, &message, &answer, options...)
	return answer, err
}

// unary echoes. It returns where the server saw the call come from.
func unary(channel *grpc.ClientConn, size int) (string, error) {
	sent := pattern(size)
	var header metadata.MD
	var server peer.Peer
	answer, err := call(channel, "Unary", sent, grpc.Header(&header), grpc.Peer(&server))
	if err != nil {
		return "", err
	}
	if !bytes.Equal(answer, sent) {
		return "", fmt.Errorf("%d bytes came back changed", size)
	}
	if seen := header.Get("x-alts-peer"); len(seen) != 1 || seen[0] != *expectCaller {
		return "", fmt.Errorf("the server takes us for %q", seen)
	}
	info, err := alts.AuthInfoFromPeer(&server)
	if err != nil {
		return "", err
	}
	if info.PeerServiceAccount() != *expectServer {
		return "", fmt.Errorf("the server is %q", info.PeerServiceAccount())
	}
	from := header.Get("x-alts-from")
	if len(from) != 1 {
		return "", errors.New("no x-alts-from")
	}
	return from[0], nil
}

func chat(ctx context.Context, channel *grpc.ClientConn) (grpc.ClientStream, error) {
	description := grpc.StreamDesc{StreamName: "Stream", ServerStreams: true, ClientStreams: true}
	return channel.NewStream(ctx, &description, service+"Stream")
}

func talk(channel *grpc.ClientConn, messages int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stream, err := chat(ctx, channel)
	if err != nil {
		return err
	}
	length := func(number int) int { return number * 37 % 3000 * 16 }
	go func() {
		for number := 0; number < messages; number++ {
			message := pattern(length(number))
			if stream.SendMsg(&message) != nil {
				return // The receiving side learns why.
			}
		}
		stream.CloseSend()
	}()
	for number := 0; number < messages; number++ {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			return err
		}
		if !bytes.Equal(message, pattern(length(number))) {
			return fmt.Errorf("message %d is changed", number)
		}
	}
	var message []byte
	if err := stream.RecvMsg(&message); err != io.EOF {
		return fmt.Errorf("after the last message: %v", err)
	}
	return nil
}

func ended(channel *grpc.ClientConn) (int, error) {
	answer, err := call(channel, "Ended", nil)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(answer))
}

func untilEnded(channel *grpc.ClientConn, count int) error {
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if now, err := ended(channel); err != nil || now >= count {
			return err
		}
		if time.Since(start) > patience {
			return errors.New("the server's call goes on")
		}
	}
}

// hang calls what never answers, and wants the call to end with a code.
func hang(channel *grpc.ClientConn, ctx context.Context, want codes.Code) error {
	before, err := ended(channel)
	if err != nil {
		return err
	}
	var message, answer []byte
	err = channel.Invoke(ctx, service+"Hang", &message, &answer)
	// Where the clock of tonic's server is first, it says so under another code.
	tonics := status.Code(err) == codes.Canceled && status.Convert(err).Message() == "Timeout expired"
	if status.Code(err) != want && !(want == codes.DeadlineExceeded && tonics) {
		return fmt.Errorf("ended with %v", err)
	}
	return untilEnded(channel, before+1)
}

func several(channel *grpc.ClientConn, sizes ...int) error {
	for _, size := range sizes {
		if _, err := unary(channel, size); err != nil {
			return err
		}
	}
	return nil
}

func fourConnections() (int, string, error) {
	type result struct {
		from string
		err  error
	}
	results := make(chan result, connections)
	for number := 0; number < connections; number++ {
		go func() {
			channel, err := connect()
			if err != nil {
				results <- result{"", err}
				return
			}
			var from string
			for turn := 0; turn <= 10 && err == nil; turn++ {
				from, err = unary(channel, min(turn, 1)*64<<10)
			}
			if err == nil {
				err = talk(channel, 50)
			}
			results <- result{from, err}
		}()
	}
	seen := map[string]bool{}
	for number := 0; number < connections; number++ {
		result := <-results
		if result.err != nil {
			return 0, "", result.err
		}
		seen[result.from] = true
	}
	if len(seen) != connections {
		return 0, "", fmt.Errorf("connections from %v", seen)
	}
	return connections, "", nil
}

// together makes so many connections at once, with one call each. Unless it may wait, the first failure of a connection is the call's.
func together() (int, string, error) {
	results := make(chan error, *crowd)
	for number := 0; number < *crowd; number++ {
		go func() {
			channel, err := connect()
			if err == nil {
				ctx, cancel := context.WithTimeout(context.Background(), crowdPatience)
				defer cancel()
				sent, answer := pattern(100), []byte(nil)
				err = channel.Invoke(ctx, service+"Unary", &sent, &answer, grpc.WaitForReady(*wait))
				if err == nil && !bytes.Equal(answer, sent) {
					err = errors.New("other bytes came back")
				}
			}
			results <- err
		}()
	}
	failed, first := 0, error(nil)
	for number := 0; number < *crowd; number++ {
		if err := <-results; err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed > 0 {
		return 0, "", fmt.Errorf("%d of %d failed, the first with: %v", failed, *crowd, first)
	}
	return *crowd, "", nil
}

// twice makes two connections, one after the other.
func twice() (int, string, error) {
	before := ""
	for turn := 0; turn < 2; turn++ {
		channel, err := connect()
		if err != nil {
			return 0, "", err
		}
		from, err := unary(channel, 1<<10)
		channel.Close()
		if err != nil {
			return 0, "", err
		}
		if from == before {
			return 0, "", errors.New("the same connection")
		}
		before = from
	}
	return 2, "", nil
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// refused wants no connection, for whatever reason; and soon.
func refused() (int, string, error) {
	channel, err := connect()
	if err != nil {
		return 0, "", err
	}
	defer channel.Close()
	_, err = unary(channel, 1)
	switch status.Code(err) {
	case codes.OK:
		return 0, "", errors.New("connected")
	case codes.Unavailable:
		return 1, err.Error(), nil
	}
	return 0, "", err
}

func withoutService() (string, error) {
	channel, err := connect()
	if err != nil {
		return "", err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), impatience)
	defer cancel()
	var message, answer []byte
	if channel.Invoke(ctx, service+"Ended", &message, &answer) != nil {
		return "refused", nil
	}
	return "connected", nil
}

// restart: the handshaker service goes away and comes back. Connections do not care; new ones wait for it.
func restart(channel *grpc.ClientConn) (int, string, error) {
	before, err := unary(channel, 1<<10)
	if err != nil {
		return 0, "", err
	}
	input := bufio.NewReader(os.Stdin)
	pause := func() error {
		fmt.Println("paused")
		input.ReadString('\n')
		if now, err := unary(channel, 1<<10); err != nil {
			return err
		} else if now != before {
			return errors.New("reconnected")
		}
		return nil
	}
	if err := pause(); err != nil {
		return 0, "", err
	}
	without, err := withoutService()
	if err != nil {
		return 0, "", err
	}
	if err := pause(); err != nil {
		return 0, "", err
	}
	start := time.Now()
	for attempts := 1; ; attempts++ {
		fresh, err := connect()
		if err != nil {
			return 0, "", err
		}
		after, err := unary(fresh, 1<<10)
		fresh.Close()
		if err == nil {
			if after == before {
				return 0, "", errors.New("the same connection")
			}
			return 3, fmt.Sprintf("%s without the service, %d attempts with it", without, attempts), nil
		}
		if time.Since(start) > patience {
			return 0, "", err
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func run(name string, channel *grpc.ClientConn) (int, string, error) {
	switch name {
	case "connections":
		return fourConnections()
	case "crowd":
		return together()
	case "refused":
		return refused()
	case "resumed":
		return twice()
	case "restart":
		return restart(channel)
	case "unary":
		return 5, "", several(channel, 0, 1<<10, 64<<10, 1<<20, 8<<20)
	case "small":
		if err := several(channel, 1<<10); err != nil {
			return 0, "", err
		}
		return 6, "", talk(channel, 5)
	case "stream":
		return streamMessages, "", talk(channel, streamMessages)
	case "deadline":
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		defer cancel()
		if err := hang(channel, ctx, codes.DeadlineExceeded); err != nil {
			return 0, "", err
		}
		return 2, "", several(channel, 1<<10)
	case "cancel":
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(200*time.Millisecond, cancel)
		if err := hang(channel, ctx, codes.Canceled); err != nil {
			return 0, "", err
		}
		ctx, cancel = context.WithCancel(context.Background())
		stream, err := chat(ctx, channel)
		if err != nil {
			return 0, "", err
		}
		message := pattern(1000)
		stream.SendMsg(&message)
		if err := stream.RecvMsg(&message); err != nil {
			return 0, "", err
		}
		cancel()
		if err := stream.RecvMsg(&message); status.Code(err) != codes.Canceled {
			return 0, "", fmt.Errorf("the stream ended with %v", err)
		}
		return 3, "", several(channel, 1<<10)
	case "forbidden":
		if _, err := call(channel, "Restricted", nil); status.Code(err) != codes.PermissionDenied {
			return 0, "", fmt.Errorf("ended with %v", err)
		}
		return 2, "", several(channel, 1)
	case "upload", "download":
		times := (*size + bulk - 1) / bulk
		method, message, want := "Source", []byte(strconv.Itoa(bulk)), bulk
		if name == "upload" {
			method, message, want = "Sink", bytes.Repeat([]byte{0xa5}, bulk), len(strconv.Itoa(bulk))
		}
		for turn := 0; turn < times; turn++ {
			answer, err := call(channel, method, message)
			if err != nil {
				return 0, "", err
			}
			if len(answer) != want {
				return 0, "", errors.New("another size")
			}
		}
		return times, fmt.Sprintf("%d MiB", times*bulk>>20), nil
	}
	return 0, "", errors.New("no such case")
}

func main() {
	flag.Parse()
	channel, err := connect() // Which waits for the first call.
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range strings.Split(*cases, ",") {
		start := time.Now()
		count, detail, err := run(name, channel)
		word := "ok"
		if err != nil {
			word, count, detail = "failed", 0, err.Error()
		}
		detail = strings.Trim(strconv.Quote(detail), `"`)
		fmt.Printf("%s\t%s\t%d\t%d\t%s\n", name, word, count, time.Since(start).Milliseconds(), detail)
	}
}
