package server

import (
	"container/list"
	"context"
	"net"
	"sync"
)

// connections bounds how many there are. One too many costs the connection that has waited for longest without a request being answered its
// place, so that those who only hold connections open keep nobody out.
type connections struct {
	limit int

	mu      sync.Mutex
	open    int
	waiting list.List // of *connection, the longest waiting first
}

type connection struct {
	net.Conn
	all   *connections
	place *list.Element // in waiting; nil while a request is answered
	done  bool
}

type connectionKey struct{}

// context lets a handler find its connection.
func (all *connections) context(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // tls.Conn
		c = t.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// work notes that a request is being answered, until the function that it returns is called.
func (all *connections) work(ctx context.Context) func() {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if c.place != nil {
		all.waiting.Remove(c.place)
		c.place = nil
	}
	return func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		if !c.done {
			c.place = all.waiting.PushBack(c)
		}
	}
}

func (all *connections) listen(l net.Listener) net.Listener { return &boundedListener{l, all} }

type boundedListener struct {
	net.Listener
	all *connections
}

func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.all.admit(c); admitted != nil {
			return admitted, nil
		}
	}
}

// admit makes room for a connection; nil if every place is taken by a request that is being answered.
func (all *connections) admit(raw net.Conn) net.Conn {
	c := &connection{Conn: raw, all: all}
	all.mu.Lock()
	var evicted *connection
	if all.open >= all.limit {
		first := all.waiting.Front()
		if first == nil {
			all.mu.Unlock()
			raw.Close()
			return nil
		}
		evicted = first.Value.(*connection)
		evicted.leave()
	}
	all.open++
	c.place = all.waiting.PushBack(c)
	all.mu.Unlock()
	if evicted != nil {
		evicted.Conn.Close()
	}
	return c
}

// leave gives a connection's place away, once. The caller holds mu.
func (c *connection) leave() {
	if c.done {
		return
	}
	c.done = true
	c.all.open--
	if c.place != nil {
		c.all.waiting.Remove(c.place)
		c.place = nil
	}
}

// Close closes the connection and gives its place away.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.leave()
	c.all.mu.Unlock()
	return c.Conn.Close()
}
