package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/infer/diffusion"
	"github.com/wrinklefree/wf/infer/engine"
)

// problem is an error as a client sees it, in OpenAI's shape:
//
//	{"error": {"message": "...", "type": "invalid_request_error", "param": "max_tokens", "code": "invalid_value", "request_id": "..."}}
type problem struct {
	status     int
	code       string // such as invalid_value; docs/api.md lists them
	param      string // the member of the request at fault; "" for none
	text       string
	retryAfter time.Duration
}

func (p *problem) Error() string { return p.text }

// kind is OpenAI's type of the error, which goes with its status.
func (p *problem) kind() string {
	switch {
	case p.status == http.StatusUnauthorized:
		return "authentication_error"
	case p.status == http.StatusForbidden:
		return "permission_error"
	case p.status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}

func (p *problem) body(id string) []byte {
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	type object struct {
		Message   string  `json:"message"`
		Type      string  `json:"type"`
		Param     *string `json:"param"`
		Code      string  `json:"code"`
		RequestID string  `json:"request_id"`
	}
	text, err := json.Marshal(map[string]object{"error": {p.text, p.kind(), optional(p.param), p.code, id}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return text
}

// write sends the problem as the whole reply.
func (p *problem) write(w http.ResponseWriter, id string) {
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(p.retryAfter.Round(time.Second), time.Second)/time.Second)))
	}
	if p.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	w.Write(append(p.body(id), '\n'))
}

func badRequest(code, param, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: code, param: param, text: fmt.Sprintf(format, args...)}
}

func invalid(param, format string, args ...any) *problem {
	return badRequest("invalid_value", param, format, args...)
}

func unavailable(code, text string) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: code, text: text, retryAfter: time.Second}
}

func errLoading() *problem  { return unavailable("loading", "the model is being loaded") }
func errDraining() *problem { return unavailable("draining", "the server is shutting down") }

// statusClientClosed is what logs and metrics say of a request whose client went away; nobody receives it.
const statusClientClosed = 499

// translations are the codes of the rooms below as a client sees them. Where text is empty the error's own is shown: it says nothing of the
// machine. What has no line is ours to mend.
var translations = map[string]problem{
	"BAD_OPTION":              {status: 400, code: "invalid_value"},
	"MODE_MISMATCH":           {status: 400, code: "invalid_value", param: "diffusion.decode_mode"},
	"INFILL_UNSUPPORTED":      {status: 400, code: "unsupported_parameter", param: "diffusion.infill"},
	"BAD_PROMPT":              {status: 400, code: "invalid_value", param: "prompt"},
	"CONTEXT_LENGTH_EXCEEDED": {status: 400, code: "context_length_exceeded", param: "max_tokens"},
	"TEMPLATE_MISSING":        {status: 400, code: "unsupported_parameter", param: "messages", text: "the model has no chat template; use /v1/completions"},
	"TEMPLATE_ERROR":          {status: 400, code: "invalid_value", param: "messages", text: "the model's chat template refuses these messages"},
	"TEMPLATE_LIMIT":          {status: 400, code: "invalid_value", param: "messages", text: "these messages exceed what a chat template may write"},
	"DRAINING":                {status: 503, code: "draining", text: "the server is shutting down", retryAfter: time.Second},
	"OVERLOADED":              {status: 503, code: "overloaded"},
	"STALLED":                 {status: 503, code: "stalled", text: "the model is not answering", retryAfter: time.Second},
	"MEMORY_ESTIMATE":         {status: 503, code: "memory_limit", text: "there is no memory for keys and values of so many tokens"},
	"CANCELLED":               {status: statusClientClosed, code: "cancelled", text: "the client went away"},
	"DEADLINE":                {status: 504, code: "timeout", text: "the answer took longer than a request may take"},
	"SLOW_CONSUMER":           {status: 503, code: "slow_consumer", text: "the client did not read its answer"},
	"NUMERIC_ERROR":           {status: 500, code: "numeric_error", text: "the model computed NaN or infinity for this request"},
	"FILE_CHANGED":            {status: 503, code: "model_unavailable", text: "the model's file has changed under the server"},
}

// optionParams are the members of a request that set an option where the two have different names.
var optionParams = map[string]string{
	"decode_mode": "diffusion.decode_mode", "threshold": "diffusion.threshold", "block_size": "diffusion.block_size",
	"sub_block_size": "diffusion.sub_block_size", "max_iterations": "diffusion.max_iterations",
}

// problemOf says what a client may know of an error.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, context.Canceled) {
		err = fault.New("CANCELLED", "%w", err)
	}
	t, ok := translations[fault.Code(err)]
	if !ok {
		return &problem{status: http.StatusInternalServerError, code: "internal_error", text: "an internal error; the server's log has it under this request id"}
	}
	if t.text == "" {
		t.text = fault.Code(err)
		var coded interface {
			error
			Code() string
		}
		if errors.As(err, &coded) {
			t.text = coded.Error()
		}
	}
	var option *diffusion.OptionError
	if errors.As(err, &option) {
		t.param = option.Option
		if param, ok := optionParams[option.Option]; ok {
			t.param = param
		}
	}
	var overload *engine.OverloadError
	if errors.As(err, &overload) {
		t.retryAfter = overload.RetryAfter
	}
	return &t
}
