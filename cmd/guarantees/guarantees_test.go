// Package guarantees holds what no room can hold alone, by looking at all of them from outside: their source, their tests with something broken on
// purpose, their tests with little memory, the binary that they make. It has tests only.
package guarantees

// root is the module's.
const root = "../.."
