package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// keyring holds the digests of the keys that are accepted; none: no key is asked for.
type keyring [][sha256.Size]byte

func newKeyring(keys []string) (k keyring) {
	for _, key := range keys {
		k = append(k, sha256.Sum256([]byte(key)))
	}
	return k
}

// errUnauthorized is the same whatever was wrong, so that nobody learns how close a guess was.
func errUnauthorized() *problem {
	return &problem{status: http.StatusUnauthorized, code: "invalid_api_key", text: "this server needs a key: Authorization: Bearer KEY"}
}

// check wants exactly one header "Authorization: Bearer KEY".
func (k keyring) check(h http.Header) error {
	if len(k) == 0 {
		return nil
	}
	given := h.Values("Authorization")
	if len(given) != 1 {
		return errUnauthorized()
	}
	key, ok := strings.CutPrefix(given[0], "Bearer ")
	if !ok || !k.has(key) {
		return errUnauthorized()
	}
	return nil
}

// has compares digests, each over its whole length, with every key: the time it takes says nothing of the keys.
func (k keyring) has(key string) bool {
	digest := sha256.Sum256([]byte(key))
	found := 0
	for i := range k {
		found |= subtle.ConstantTimeCompare(digest[:], k[i][:])
	}
	return found == 1
}
