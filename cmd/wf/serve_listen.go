package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/wrinklefree/wf/gguf/fault"
)

// listenFlags are where requests come in.
type listenFlags struct {
	host      string
	port      int
	cert, key string
	alias     string
}

// unixPrefix before a host makes it the path of a Unix socket.
const unixPrefix = "unix:"

func (l *listenFlags) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.host, "host", "127.0.0.1", "address to listen on, or unix:PATH for a Unix socket")
	f.IntVar(&l.port, "port", 30000, "port to listen on; 0: a free one")
	f.StringVar(&l.cert, "tls-cert", "", "PEM `file` of the certificate chain: the server speaks HTTPS")
	f.StringVar(&l.key, "tls-key", "", "PEM `file` of its key")
	f.StringVar(&l.alias, "alias", "", "name of the model for clients (the file's name); default is another in any case")
}

func (l *listenFlags) name(file string) string {
	if l.alias != "" {
		return l.alias
	}
	return file
}

func (l *listenFlags) certificate() (*tls.Config, error) {
	if l.cert == "" && l.key == "" {
		return nil, nil
	}
	if l.cert == "" || l.key == "" {
		return nil, usagef("--tls-cert and --tls-key go together")
	}
	pair, err := tls.LoadX509KeyPair(l.cert, l.key)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New("NOT_FOUND", "serve: %w", err)
		}
		return nil, fault.New("BAD_CERTIFICATE", "serve: %s and %s: %w", l.cert, l.key, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}, nil
}

// open listens. What others can reach needs a key, or the word of whoever starts the server.
func (l *listenFlags) open(ctx context.Context, guarded bool) (net.Listener, error) {
	network, address := "tcp", net.JoinHostPort(l.host, strconv.Itoa(l.port))
	if path, ok := strings.CutPrefix(l.host, unixPrefix); ok {
		network, address = "unix", path
		removeStale(path)
	} else if l.port < 0 || l.port > 65535 {
		return nil, fault.New("BAD_ADDRESS", "serve: port %d; wanted 0 to 65535", l.port)
	} else if !guarded && !loopback(l.host) {
		return nil, usagef("--host %s can be reached from other machines, and there is no key; give --api-key-file, or insist with --insecure-no-auth",
			fault.Quote(l.host))
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, address)
	var system syscall.Errno
	switch {
	case err == nil:
		return listener, nil
	case errors.As(err, &system):
		return nil, fault.New("LISTEN_FAILED", "serve: cannot listen on %s: %w", address, system)
	}
	return nil, fault.New("BAD_ADDRESS", "serve: %s is no address of this machine: %w", address, err)
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// removeStale removes a socket that a process left behind: one that nobody answers on.
func removeStale(path string) {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return
	}
	os.Remove(path)
}

// url is where clients find the server.
func (l *listenFlags) url(listener net.Listener) string {
	scheme := "http://"
	if l.cert != "" {
		scheme = "https://"
	}
	if listener.Addr().Network() == "unix" {
		return unixPrefix + listener.Addr().String()
	}
	return scheme + listener.Addr().String()
}
