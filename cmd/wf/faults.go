package main

// faultCodes is the one table of error codes: their exit status, what they mean and what to do. docs/errors.md is made from it.
var faultCodes = []struct {
	code   string
	status int
	means  string
	remedy string
}{
	// The command line and settings.
	{"USAGE", exitUsage, "the command line is wrong", "see the command's --help"},
	{"BAD_OPTION", exitUsage, "an option's value cannot be used", "give a value in the range that the message names"},
	{"BAD_SETTING", exitUsage, "a setting from a variable or the config file cannot be used", "correct it where the message says it came from"},
	{"BAD_CONFIG", exitUsage, "the config file is not valid YAML", "wf config --generate prints a valid one"},
	{"BAD_TOKEN_ID", exitUsage, "a token id on the command line is outside the vocabulary", "wf tokenize shows the ids of a text"},
	{"EMPTY_PROMPT", exitUsage, "the prompt has no tokens", "give at least one"},
	{"MODE_MISMATCH", exitRefused, "the decode mode does not suit the model", "leave --decode-mode out, or override the mask token as the message says"},
	{"OUTPUT_IS_INPUT", exitUsage, "the output is the input, perhaps by another name", "name another output"},
	{"OUTPUT_NOT_REGULAR", exitUsage, "the output path is a directory, a link or a device", "name a file"},
	{"PROMPT_TOO_LONG", exitLimit, "the prompt is larger than any context", "shorten it"},

	// Files.
	{"NOT_FOUND", exitIO, "a file does not exist", "check the path"},
	{"PERMISSION", exitIO, "a file may not be read or written", "check owner and mode"},
	{"NOT_A_REGULAR_FILE", exitIO, "the path is a directory, FIFO, device or socket", "name a regular file"},
	{"FILE_EMPTY", exitIO, "the file has no bytes", "fetch or copy it again"},
	{"FILE_CHANGED", exitRefused, "a file changed while it was in use", "run again when nothing writes to it"},
	{"IO_ERROR", exitIO, "reading or writing failed", "check disk and file system"},
	{"NO_SPACE", exitIO, "the file system has too little room", "free the space that the message names, or write elsewhere"},
	{"WRITE_CORRUPTED", exitIO, "what was written reads back differently", "check disk and memory; nothing was kept"},
	{"OUTPUT_DIR", exitIO, "the output's directory is missing or not writable", "create it or choose another"},
	{"OUTPUT_EXISTS", exitBusy, "the output exists", "--force replaces it"},
	{"LOCKED", exitBusy, "another process is writing the same output", "wait for it"},
}
