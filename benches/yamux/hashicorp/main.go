// Bytes through one stream of hashicorp/yamux with both ends in this process: main memory|tcp SIZE-OF-WRITES MIB. Prints processor
// time in s/GiB, and what was allocated.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/hashicorp/yamux"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(word string) int {
	value, err := strconv.Atoi(word)
	must(err)
	return value
}

type pipe struct {
	io.Reader
	io.WriteCloser
}

func connection(transport string) (io.ReadWriteCloser, io.ReadWriteCloser) {
	if transport == "memory" {
		r1, w1 := io.Pipe()
		r2, w2 := io.Pipe()
		return pipe{r1, w2}, pipe{r2, w1}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	near, err := net.Dial("tcp", listener.Addr().String())
	must(err)
	far, err := listener.Accept()
	must(err)
	return near, far
}

func processorTime() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func main() {
	size, total := number(os.Args[2]), number(os.Args[3])<<20
	a, b := connection(os.Args[1])
	config := yamux.DefaultConfig()
	config.EnableKeepAlive = false
	client, err := yamux.Client(a, config)
	must(err)
	server, err := yamux.Server(b, config)
	must(err)
	near, err := client.OpenStream()
	must(err)
	far, err := server.AcceptStream()
	must(err)
	chunk, buffer := make([]byte, size), make([]byte, 64<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := processorTime()
	wrote := make(chan error)
	go func() {
		var err error
		for i := 0; i < total/size && err == nil; i++ {
			_, err = near.Write(chunk)
		}
		wrote <- err
	}()
	for left := total; left > 0; {
		count, err := far.Read(buffer)
		must(err)
		left -= count
	}
	must(<-wrote)
	time := processorTime() - begin
	runtime.ReadMemStats(&after)
	fmt.Printf("cpu=%f allocations=%d allocated=%d\n", time/(float64(total)/(1<<30)), after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc)
}
