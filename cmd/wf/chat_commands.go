package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/wrinklefree/wf/gguf/fault"
)

// errQuit ends the chat.
var errQuit = errors.New("quit")

// chatCommands are what may follow a slash. args is what follows the name, trimmed.
var chatCommands = []struct {
	name, args, help string
	run              func(c *chat, ctx context.Context, args string) error
}{
	{"system", "[TEXT]", "put a system message before the conversation; without TEXT, take it away", (*chat).setSystem},
	{"set", "[NAME [VALUE]]", "change a setting of the answers; without VALUE, to what the file says; without NAME, list them", (*chat).set},
	{"reset", "", "forget the conversation", (*chat).reset},
	{"stats", "", "what the last answer cost, and how much of the context is used", (*chat).stats},
	{"save", "[--force] [FILE]", "keep conversation and settings in FILE, or in the one of before", (*chat).save},
	{"load", "FILE", "go on with a conversation that was saved", (*chat).loadOver},
	{"help", "", "list the commands", nil}, // below: it lists itself
	{"quit", "", "end the chat", func(*chat, context.Context, string) error { return errQuit }},
}

func (c *chat) command(ctx context.Context, line string) error {
	name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
	if name == "help" || name == "?" {
		return c.help()
	}
	var names []string
	for _, command := range chatCommands {
		if command.name == name {
			return command.run(c, ctx, strings.TrimSpace(args))
		}
		names = append(names, command.name)
	}
	return usagef("command /%s is unknown; /help lists them%s", oneLine(name), didYouMean("/", name, names))
}

func (c *chat) help() error {
	for _, command := range chatCommands {
		fmt.Fprintf(c.env.stderr, "  /%-24s %s\n", strings.TrimSpace(command.name+" "+command.args), command.help)
	}
	fmt.Fprintf(c.env.stderr, "Lines between %s and %s, or with \\ at their ends, are one message. ctrl-C stops an answer.\n", block, block)
	return nil
}

func (c *chat) setSystem(_ context.Context, text string) error {
	before := c.System
	c.System = text
	if _, err := c.prompt("?"); err != nil { // a template may have no place for it
		c.System = before
		return err
	}
	return nil
}

func (c *chat) reset(context.Context, string) error {
	c.Messages, c.last = nil, nil
	return nil
}

func (c *chat) stats(context.Context, string) error {
	if c.last == nil {
		c.env.note("no answer yet")
		return nil
	}
	c.env.timing(c.last)
	c.env.note(fmt.Sprintf("%d of the prompt's tokens were kept from the answer before; %d messages, %d of %d positions used",
		c.last.Stats.PrefixTokens, len(c.Messages), c.positions, c.context()))
	return nil
}

// context is how many positions prompt and answer may take together.
func (c *chat) context() int {
	o, err := c.decode.options(c.env, &c.model, c.s).Resolved(c.s.model.Config())
	if err != nil {
		return 0 // settings are checked when they are made
	}
	return o.Context
}

// settable are the flags that /set changes, and other names for them.
var (
	settable = []string{"decode-mode", "threshold", "sub-block-cache", "max-iterations", "max-tokens", "temp", "top-k", "top-p", "min-p", "seed"}
	alias    = map[string]string{"mode": "decode-mode", "temperature": "temp"}
)

func (c *chat) set(_ context.Context, args string) error {
	name, value, _ := strings.Cut(args, " ")
	if name == "" {
		for _, name := range settable {
			fmt.Fprintf(c.env.stderr, "  %-16s %s\n", name, cmp.Or(c.flags.Lookup(name).Value.String(), "(the file's)"))
		}
		return nil
	}
	return c.change(func() error { return c.setFlag(name, strings.TrimSpace(value)) })
}

// setFlag gives a setting a value; "": that of the file or the dialect.
func (c *chat) setFlag(name, value string) error {
	f, err := c.setting(name)
	if err != nil {
		return err
	}
	if err := f.Value.Set(cmp.Or(value, f.DefValue)); err != nil {
		return usagef("/set %s %s: %w", f.Name, fault.Quote(value), err)
	}
	return nil
}

func (c *chat) setting(name string) (*pflag.Flag, error) {
	name = strings.ReplaceAll(name, "_", "-")
	for _, each := range settable {
		if each == cmp.Or(alias[name], name) {
			return c.flags.Lookup(each), nil
		}
	}
	return nil, usagef("setting %s is unknown; wanted one of %s%s", fault.Quote(name), strings.Join(settable, ", "), didYouMean("", name, settable))
}

// change makes a change of settings, and takes it back if it fails or the model cannot decode that way.
func (c *chat) change(do func() error) error {
	before := c.decode
	err := do()
	if err == nil {
		err = c.decode.options(c.env, &c.model, c.s).Validate(c.s.model.Config())
	}
	if err != nil {
		c.decode = before
	}
	return err
}

func (c *chat) save(ctx context.Context, args string) error {
	path, force := strings.CutPrefix(args, "--force")
	path = strings.TrimSpace(path)
	if path == "" && c.file == "" {
		return usagef("/save: no file; wanted /save FILE")
	}
	force = force || path == "" || path == c.file
	path = cmp.Or(path, c.file)
	c.Version, c.Program, c.Model, c.Settings = sessionVersion, version, c.s.name, map[string]string{}
	for _, name := range settable {
		if f := c.flags.Lookup(name); f.Value.String() != f.DefValue {
			c.Settings[name] = f.Value.String()
		}
	}
	if c.Messages == nil {
		c.Messages = []message{}
	}
	if err := c.write(ctx, path, force); err != nil {
		return err
	}
	c.file = path
	c.env.note(fmt.Sprintf("%s: %d messages saved", path, len(c.Messages)))
	return nil
}

// loadOver is /load: what is in the file takes the place of everything.
func (c *chat) loadOver(_ context.Context, path string) error {
	if path == "" {
		return usagef("/load: no file; wanted /load FILE")
	}
	return c.load(path, func(string) bool { return false })
}

// load goes on with a conversation, but for the settings that the command line has fixed. It changes nothing if it fails.
func (c *chat) load(path string, fixed func(flag string) bool) error {
	loaded, err := readConversation(path)
	if err != nil {
		return err
	}
	if fixed("system") {
		loaded.System = c.System
	}
	before := c.conversation
	c.conversation = *loaded
	if _, err = c.prompt("?"); err == nil {
		err = c.change(func() error { return c.setAll(loaded.Settings, fixed) })
	}
	if err != nil {
		c.conversation = before
		return inFile(path, err)
	}
	c.file, c.last = path, nil
	if loaded.Model != c.s.name {
		c.env.note(fmt.Sprintf("%s: the conversation was with %s", path, fault.Quote(loaded.Model)))
	}
	c.env.note(fmt.Sprintf("%s: %d messages", path, len(c.Messages)))
	return nil
}

// setAll gives every setting that is not fixed its value, or that of the file and the dialect.
func (c *chat) setAll(values map[string]string, fixed func(flag string) bool) error {
	for name := range values {
		if !slices.Contains(settable, name) {
			return malformedSession("setting %s is unknown", fault.Quote(name))
		}
	}
	for _, name := range settable {
		if fixed(name) {
			continue
		}
		if err := c.setFlag(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}
