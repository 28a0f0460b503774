package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// JUnit's XML, as far as CI systems agree on it: a suite for each mode, a case for all its questions and one for each split and group. The case of all
// fails if the mode is below --min; a single wrong answer is no failure, since --min says how many there may be. The suite's output lists them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"` // seconds
		Cases    []junitCase `xml:"testcase"`
		Output   string      `xml:"system-out,omitempty"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
		Output  string        `xml:"system-out"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
	}
)

func (r *evalReport) writeJUnit(w io.Writer) error {
	all := junitSuites{Name: "wf eval " + r.Model}
	for _, e := range r.Modes {
		suite := junitSuite{Name: e.mode, Time: fmt.Sprintf("%.3f", e.seconds)}
		add := func(name string, t *tally) *junitCase {
			suite.Cases = append(suite.Cases, junitCase{Class: e.mode, Name: name, Output: fmt.Sprintf("%d of %d exact (%.4f)", t.right, t.asked, t.exact())})
			return &suite.Cases[len(suite.Cases)-1]
		}
		if whole := add("all", &e.tally); r.below(e) {
			whole.Failure = &junitFailure{fmt.Sprintf("%.4f of the answers are exact; wanted at least %v", e.exact(), *r.Min)}
			suite.Failures++
		}
		e.parts(func(kind, name string, t *tally) { add(kind+" "+name, t) })
		var wrong strings.Builder
		for _, a := range e.wrong {
			fmt.Fprintf(&wrong, "line %d: %q: wanted %q, got %q\n", a.Line, a.Question, a.Wanted, a.Got)
		}
		suite.Output, suite.Tests = wrong.String(), len(suite.Cases)
		all.Tests, all.Failures, all.Suites = all.Tests+suite.Tests, all.Failures+suite.Failures, append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
