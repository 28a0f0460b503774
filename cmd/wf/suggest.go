package main

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wrinklefree/wf/gguf/fault"
)

// nearest returns the name that a person most likely meant, or "": the one that is fewest slips of the fingers away from what was typed, else one
// that begins as it does, as --temp for --temperature.
func nearest(typed string, names []string) string {
	typed = strings.ToLower(typed)
	best, found := max(1, len(typed)/3)+1, ""
	for _, name := range names {
		if d := slips(typed, strings.ToLower(name)); d < best && d < len(typed) {
			best, found = d, name
		}
	}
	for i := 0; found == "" && i < len(names) && len(typed) > 1; i++ {
		if name := strings.ToLower(names[i]); strings.HasPrefix(name, typed) || len(name) > 2 && strings.HasPrefix(typed, name) {
			found = names[i]
		}
	}
	return found
}

// slips counts the letters that were left out, put in, mistaken or swapped with a neighbour: the optimal string alignment distance.
func slips(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			mistaken := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				mistaken++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, mistaken)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// either lists names as a sentence does: "a, b or c".
func either(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// didYouMean is the end of a message about a wrong name, or "".
func didYouMean(prefix, typed string, names []string) string {
	if name := nearest(typed, names); name != "" {
		return "; did you mean " + prefix + name + "?"
	}
	return ""
}

// unknownCommand refuses arguments of wf itself, which has commands only.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() {
			continue
		}
		for _, other := range cmd.SuggestFor {
			if strings.EqualFold(other, args[0]) {
				return usagef("unknown command %s; did you mean wf %s?", fault.Quote(args[0]), cmd.Name())
			}
		}
		names = append(names, cmd.Name())
	}
	return usagef("unknown command %s%s", fault.Quote(args[0]), cmp.Or(didYouMean("wf ", args[0], names), "; wf --help lists the commands"))
}

// wrongFlag says what is wrong with a flag, and which one was probably meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); !cmd.HasParent() && len(words) > 0 { // wf genrate -m x: not the flag is wrong
		return unknownCommand(cmd, words)
	}
	hint := ""
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		hint = didYouMean("--", unknown.GetSpecifiedName(), flagNames(cmd))
	case errors.As(err, &unknown): // -temp 0.7, as other programs have it
		hint = longFlag(cmd, unknown.GetSpecifiedShortnames())
	case errors.As(err, &value):
		f := value.GetFlag()
		hint = longFlag(cmd, f.Shorthand+value.GetValue())
		err = fmt.Errorf("--%s is %s; %w", f.Name, fault.Quote(value.GetValue()), plainly(f, value.Unwrap()))
	}
	if hint == "" && !strings.HasSuffix(err.Error(), "?") { // nothing is suggested
		hint = "; see " + cmd.CommandPath() + " --help"
	}
	return usagef("%w%s", err, hint)
}

// plainly replaces what strconv says of a number.
func plainly(f *pflag.Flag, err error) error {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	if strings.HasPrefix(f.Value.Type(), "float") {
		return errors.New("wanted a number")
	}
	return errors.New("wanted a whole number")
}

// longFlag recognises a long flag that was typed with one dash.
func longFlag(cmd *cobra.Command, letters string) string {
	if f := cmd.Flags().Lookup(letters); f != nil {
		return "; did you mean --" + letters + "?"
	}
	return ""
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}
