// The server of the interoperability tests with grpc-go. See ../../README.md for what the methods do.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/alts"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const limit = 64 << 20

// raw passes messages on as bytes.
type raw struct{}

func (raw) Marshal(message interface{}) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, message interface{}) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (raw) String() string { return "raw" }

type server struct {
	lock    sync.Mutex
	ended   int
	callers map[string]bool
}

// about tells the caller what it looks like from here.
func (s *server) about(ctx context.Context) error {
	info, err := alts.AuthInfoFromContext(ctx)
	if err != nil {
		return err
	}
	from, _ := peer.FromContext(ctx)
	name := info.PeerServiceAccount()
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.callers[name] {
		s.callers[name] = true
		fmt.Println("caller", name)
	}
	return grpc.SetHeader(ctx, metadata.Pairs("x-alts-peer", name, "x-alts-from", from.Addr.String()))
}

func (s *server) answer(ctx context.Context, method string, message []byte) ([]byte, error) {
	switch method {
	case "Unary":
		return message, nil
	case "Hang":
		<-ctx.Done()
		s.lock.Lock()
		defer s.lock.Unlock()
		s.ended++
		return nil, status.FromContextError(ctx.Err()).Err()
	case "Ended":
		s.lock.Lock()
		defer s.lock.Unlock()
		return []byte(strconv.Itoa(s.ended)), nil
	case "Sink":
		return []byte(strconv.Itoa(len(message))), nil
	case "Source":
		size, err := strconv.Atoi(string(message))
		if err != nil || size < 0 || size > limit {
			return nil, status.Error(codes.InvalidArgument, "no size")
		}
		return bytes.Repeat([]byte{0x5a}, size), nil
	}
	return nil, status.Error(codes.Unimplemented, method)
}

func (s *server) unary(method string) grpc.MethodDesc {
	handler := func(_ interface{}, ctx context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
		var message []byte
		if err := decode(&message); err != nil {
			return nil, err
		}
		if err := s.about(ctx); err != nil {
			return nil, err
		}
		answer, err := s.answer(ctx, method, message)
		return &answer, err
	}
	return grpc.MethodDesc{MethodName: method, Handler: handler}
}

func (s *server) stream(_ interface{}, stream grpc.ServerStream) error {
	if err := s.about(stream.Context()); err != nil {
		return err
	}
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := &server{callers: map[string]bool{}}
	description := grpc.ServiceDesc{
		ServiceName: "interop.Peer",
		HandlerType: (*interface{})(nil),
		Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: s.stream, ServerStreams: true, ClientStreams: true}},
	}
	for _, method := range []string{"Unary", "Hang", "Ended", "Sink", "Source"} {
		description.Methods = append(description.Methods, s.unary(method))
	}
	credentials := alts.NewServerCreds(alts.DefaultServerOptions())
	server := grpc.NewServer(grpc.Creds(credentials), grpc.CustomCodec(raw{}), grpc.MaxRecvMsgSize(limit), grpc.MaxSendMsgSize(limit))
	server.RegisterService(&description, struct{}{})
	fmt.Println("ready", listener.Addr())
	fmt.Fprintln(os.Stderr, server.Serve(listener))
	os.Exit(1)
}
