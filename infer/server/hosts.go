package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// checkHost keeps pages of other sites from reaching a server without keys by a name of theirs that resolves to its address (DNS rebinding). What
// passes is the address that the connection came in by, localhost, 127.0.0.1 and [::1] if that is a loopback address, each with its port, and
// Options.AllowedHosts. A page cannot know a key, so with keys every name passes; nor can it reach a Unix socket.
func (s *Server) checkHost(x *exchange) error {
	local, isTCP := x.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if len(s.keys) > 0 || !isTCP {
		return nil
	}
	host := strings.ToLower(x.Host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
		if x.TLS != nil {
			port = "443"
		}
	}
	if slices.ContainsFunc(s.AllowedHosts, func(allowed string) bool { return strings.EqualFold(allowed, host) || strings.EqualFold(allowed, name) }) {
		return nil
	}
	address := local.AddrPort().Addr().Unmap()
	names := []string{address.WithZone("").String()}
	if address.IsLoopback() {
		names = append(names, "localhost", netip.AddrFrom4([4]byte{127, 0, 0, 1}).String(), netip.IPv6Loopback().String())
	}
	if slices.Contains(names, name) && port == strconv.Itoa(local.Port) {
		return nil
	}
	return &problem{status: http.StatusForbidden, code: "host_not_allowed",
		text: "the Host header names neither this server's address nor a host that --allowed-host allows"}
}

// checkOrigin lets a browser's requests run for pages of this server and of Options.AllowedOrigins only. It answers preflights itself: then done
// is true. Other programs send no Origin.
func (s *Server) checkOrigin(x *exchange) (done bool, err error) {
	in, out := x.Request.Header, x.Header()
	origin, site := in.Get("Origin"), in.Get("Sec-Fetch-Site")
	scheme := "http://"
	if x.TLS != nil {
		scheme = "https://"
	}
	switch {
	case origin != "" && slices.Contains(s.AllowedOrigins, origin):
		out.Set("Access-Control-Allow-Origin", origin)
		out.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After")
		out.Add("Vary", "Origin")
	case origin != "" && origin != scheme+x.Host, origin == "" && site != "" && site != "same-origin" && site != "none" && x.Method != http.MethodGet:
		return false, &problem{status: http.StatusForbidden, code: "origin_not_allowed",
			text: "pages of this origin may not ask; --allowed-origin allows one"}
	}
	if x.Method != http.MethodOptions || in.Get("Access-Control-Request-Method") == "" {
		return false, nil
	}
	out.Set("Access-Control-Allow-Methods", "GET, POST")
	out.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	out.Set("Access-Control-Max-Age", "600")
	x.WriteHeader(http.StatusNoContent)
	return true, nil
}
