// rego-diff runs random policies and inputs through our engine and through OPA
// and shows every difference, as small as it can make it.
//
//	tools/rego-diff/run [-n cases] [-seed s] [-seconds s] [-v0]
//
// OPA runs in this process; ours is build/tests/peer/rego_batch, one case a
// line.  What rego.md 9.16 lists as defects of the reference is not generated.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

type testCase struct {
	Modules []string       `json:"modules"`
	V0      bool           `json:"v0"`
	Query   string         `json:"query"`
	Data    map[string]any `json:"data"`
	Input   any            `json:"input,omitempty"`
	Strict  bool           `json:"strict"`
}

type outcome struct {
	Result []json.RawMessage `json:"result"`
	Errors []failure         `json:"errors"`
}

type failure struct {
	Stage   string `json:"stage"`
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file"`
	Row     int    `json:"row"`
	Col     int    `json:"col"`
}

// ---- OPA ----

func opaErrors(stage string, err error) outcome {
	var o outcome
	var list ast.Errors
	var one *topdown.Error
	switch {
	case errors.As(err, &list):
		for _, e := range list {
			f := failure{Stage: stage, Code: e.Code, Message: e.Message}
			if e.Location != nil {
				f.File, f.Row, f.Col = e.Location.File, e.Location.Row, e.Location.Col
			}
			o.Errors = append(o.Errors, f)
		}
	case errors.As(err, &one):
		f := failure{Stage: "eval", Code: one.Code, Message: one.Message}
		if one.Location != nil {
			f.File, f.Row, f.Col = one.Location.File, one.Location.Row, one.Location.Col
		}
		o.Errors = []failure{f}
	default:
		o.Errors = []failure{{Stage: stage, Code: "?", Message: err.Error()}}
	}
	return o
}

func compile(c *testCase, version ast.RegoVersion) (*ast.Compiler, error) {
	mods := map[string]*ast.Module{}
	for i, text := range c.Modules {
		name := fmt.Sprintf("test-%d.rego", i)
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: version})
		if err != nil {
			return nil, err
		}
		mods[name] = m
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(mods); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

func compiles(c *testCase) bool {
	version := ast.RegoV1
	if c.V0 {
		version = ast.RegoV0
	}
	_, err := compile(c, version)
	return err == nil
}

func runOPA(c *testCase, indexing bool) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			o = outcome{Errors: []failure{{Stage: "panic", Code: "panic", Message: fmt.Sprint(r)}}}
		}
	}()
	version := ast.RegoV1
	if c.V0 {
		version = ast.RegoV0
	}
	compiler, err := compile(c, version)
	if err != nil {
		return opaErrors("compile", err)
	}
	data := c.Data
	if data == nil {
		data = map[string]any{}
	}
	opts := []func(*rego.Rego){
		rego.Query(c.Query), rego.Compiler(compiler), rego.Store(inmem.NewFromObject(data)),
		rego.Time(time.Unix(0, 1700000000000000000)), rego.StrictBuiltinErrors(c.Strict),
		rego.SetRegoVersion(ast.RegoV1),
	}
	if c.Input != nil {
		opts = append(opts, rego.Input(c.Input))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	pq, err := rego.New(opts...).PrepareForEval(ctx)
	if err != nil {
		return opaErrors("compile", err)
	}
	eval := []rego.EvalOption{rego.EvalRuleIndexing(indexing), rego.EvalTime(time.Unix(0, 1700000000000000000))}
	if c.Input != nil {
		eval = append(eval, rego.EvalInput(c.Input))
	}
	rs, err := pq.Eval(ctx, eval...)
	if err != nil {
		return opaErrors("eval", err)
	}
	for _, r := range rs {
		var values []any
		for _, e := range r.Expressions {
			values = append(values, e.Value)
		}
		bs, err := json.Marshal(map[string]any{"bindings": r.Bindings, "values": values})
		if err != nil {
			return outcome{Errors: []failure{{Stage: "marshal", Code: err.Error()}}}
		}
		o.Result = append(o.Result, bs)
	}
	return o
}

// ---- ours ----

type engine struct {
	path string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

func (e *engine) start() {
	e.cmd = exec.Command(e.path)
	e.cmd.Stderr = os.Stderr
	var err error
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		panic(err)
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		panic(err)
	}
	e.out = bufio.NewReaderSize(out, 1<<20)
	if err := e.cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "rego-diff:", err)
		os.Exit(2)
	}
}

func (e *engine) run(c *testCase) outcome {
	if e.cmd == nil {
		e.start()
	}
	bs, _ := json.Marshal(c)
	e.in.Write(append(bs, '\n'))
	line, err := e.out.ReadBytes('\n')
	if err != nil {
		e.in.Close()
		e.cmd.Wait()
		e.cmd = nil
		return outcome{Errors: []failure{{Stage: "crash", Code: "crash", Message: "our engine ended"}}}
	}
	var o struct {
		Result []struct {
			Bindings    map[string]any
			Expressions []struct{ Value any }
		}
		Errors []failure
	}
	if err := util.UnmarshalJSON(line, &o); err != nil {
		return outcome{Errors: []failure{{Stage: "crash", Code: "json", Message: err.Error()}}}
	}
	var r outcome
	r.Errors = o.Errors
	for _, one := range o.Result {
		var values []any
		for _, x := range one.Expressions {
			values = append(values, x.Value)
		}
		if one.Bindings == nil {
			one.Bindings = map[string]any{}
		}
		bs, _ := json.Marshal(map[string]any{"bindings": one.Bindings, "values": values})
		r.Result = append(r.Result, bs)
	}
	return r
}

// ---- comparing ----

func sorted(r []json.RawMessage) []string {
	var s []string
	for _, x := range r {
		// Go writes an invalid byte as an escape, and the character itself as it is.
		s = append(s, strings.ReplaceAll(string(x), `\ufffd`, "\ufffd"))
	}
	sort.Strings(s)
	return s
}

func has(o outcome, code string) bool {
	for _, e := range o.Errors {
		if e.Code == code {
			return true
		}
	}
	return false
}

var ruleRef = regexp.MustCompile(`^undefined ref: (data\.t\.|_\[|[{\[]|.*\()`)

// Rows of type errors; in what has modifiers ours finds less (src/rego/check_types.c).
func rows(o outcome) string {
	seen := map[string]bool{}
	var list []string
	for _, e := range o.Errors {
		key := fmt.Sprint(e.Row)
		// OPA 1.22 gives all references to rules of a package the position of the last one.
		if ruleRef.MatchString(e.Message) {
			key = "rule"
		}
		if e.Code == "rego_type_error" && e.Row > 0 && !seen[key] {
			seen[key] = true
			list = append(list, key)
		}
	}
	sort.Strings(list)
	return fmt.Sprint(list)
}

// "" when both agree, else what kind of difference it is.
func difference(want, got outcome) string {
	w, g := len(want.Errors) > 0, len(got.Errors) > 0
	if g && got.Errors[0].Stage == "crash" {
		return "crash"
	}
	switch {
	case w && want.Errors[0].Stage == "panic":
		return ""
	case w && g:
		if want.Errors[0].Code == "?" {
			return ""
		}
		if want.Errors[0].Stage != got.Errors[0].Stage {
			return "stage " + want.Errors[0].Code + " / " + got.Errors[0].Code
		}
		if has(want, "rego_type_error") && has(got, "rego_type_error") && rows(want) != rows(got) {
			return "rows of type errors"
		}
		for _, e := range got.Errors {
			if has(want, e.Code) {
				return ""
			}
		}
		return "code " + want.Errors[0].Code + " / " + got.Errors[0].Code
	case w:
		return "only OPA fails: " + want.Errors[0].Code
	case g:
		return "only ours fails: " + got.Errors[0].Code
	}
	if strings.Join(sorted(want.Result), "\n") != strings.Join(sorted(got.Result), "\n") {
		return "result"
	}
	return ""
}

// OPA's index, since 1.21, skips rules that read an undefined document, and with
// them the errors and conflicts that they would raise; without it, other values
// are left out.  Either answer is right.
func compare(c *testCase, want, got outcome) string {
	if onlyOneCall {
		return callDifference(want, got)
	}
	kind := difference(want, got)
	if kind == "" || (len(want.Errors) > 0 && want.Errors[0].Stage == "compile") {
		return kind
	}
	if difference(runOPA(c, false), got) == "" {
		return ""
	}
	// Which of several errors is met first depends on what is skipped, too: then
	// only what both say without strict errors counts.
	if c.Strict && ours != nil && len(got.Errors) > 0 && strings.HasPrefix(got.Errors[0].Code, "eval_") {
		plain := *c
		plain.Strict = false
		return compare(&plain, runOPA(&plain, true), ours.run(&plain))
	}
	return kind
}

var ours *engine
var onlyOneCall bool

// ---- smaller cases ----

// Drop lines as long as the difference stays.
func shrink(c testCase, same func(*testCase) bool) testCase {
	for again := true; again; {
		again = false
		for m := range c.Modules {
			lines := strings.Split(c.Modules[m], "\n")
			for n := len(lines) / 2; n >= 1; n /= 2 {
				for i := 1; i+n <= len(lines); {
					rest := append(append([]string{}, lines[:i]...), lines[i+n:]...)
					try := c
					try.Modules = append([]string{}, c.Modules...)
					try.Modules[m] = strings.Join(rest, "\n")
					if same(&try) {
						c, lines, again = try, rest, true
					} else {
						i++
					}
				}
			}
		}
	}
	return c
}

func show(kind string, c *testCase, want, got outcome) {
	fmt.Printf("==== %s\n", kind)
	for _, m := range c.Modules {
		fmt.Println(m)
	}
	js := func(x any) string { b, _ := json.Marshal(x); return string(b) }
	fmt.Printf("query: %s\ninput: %s\ndata: %s\nv0: %v strict: %v\n", c.Query, js(c.Input), js(c.Data), c.V0, c.Strict)
	fmt.Printf("OPA:  %s\nours: %s\n", js(want), js(got))
}

// Most random programs are refused.  Of these one in three is a case; else the
// next one is tried, up to eight times, so that many cases are evaluated.
func makeCase(r *rand.Rand) testCase {
	for tries := 0; ; tries++ {
		g := &generator{Rand: r}
		if onlyOneCall {
			return g.callCase()
		}
		c := g.makeCase()
		if tries == 8 || g.chance(3) || compiles(&c) {
			return c
		}
	}
}

func main() {
	n := flag.Int("n", 10000, "cases")
	seed := flag.Int64("seed", time.Now().UnixNano(), "seed")
	seconds := flag.Int("seconds", 0, "end after so many seconds")
	limit := flag.Int("show", 3, "examples shown of each kind of difference")
	path := flag.String("batch", "build/tests/peer/rego_batch", "our engine")
	dump := flag.Bool("dump", false, "only print the cases")
	why := flag.Bool("why", false, "tell why OPA refuses cases")
	all := flag.Bool("all", false, "also differences that are known")
	flag.BoolVar(&onlyOneCall, "calls", false, "calls of built-in functions with odd operands instead of programs")
	flag.StringVar(&onlyCalls, "function", "", "with -calls: only functions whose name begins so")
	worker := flag.Bool("worker", false, "run by another rego-diff, to which each case is told")
	first := flag.Int("first", 0, "with -worker: the first case")
	flag.Parse()
	if !*worker && !*dump {
		os.Exit(supervise(*n, *seed, *seconds))
	}
	report := os.NewFile(3, "report")
	debug.SetMaxStack(64 << 20) // what recurses without an end ends soon
	e := &engine{path: *path}
	ours = e
	shown := map[string]int{}
	end := time.Now().Add(time.Duration(*seconds) * time.Second)
	for i := *first; i < *n && (*seconds == 0 || time.Now().Before(end)); i++ {
		if !*dump {
			fmt.Fprintf(report, "case %d\n", i)
		}
		c := makeCase(rand.New(rand.NewSource(*seed + int64(i))))
		if *dump {
			show("case", &c, outcome{}, outcome{})
			continue
		}
		want, got := runOPA(&c, true), e.run(&c)
		kind := compare(&c, want, got)
		if kind != "" {
			why := known(&c, want, got, kind)
			if onlyOneCall {
				why = knownCall(&c, want, got, kind)
			}
			if why != "" && !*all {
				fmt.Fprintf(report, "known %s\n", why)
				kind = ""
			}
		}
		switch {
		case len(want.Errors) > 0:
			fmt.Fprintf(report, "end %s\n", strings.ReplaceAll(want.Errors[0].Code, "\n", " "))
			if *why {
				fmt.Printf("OPA refuses: %s: %s\n", want.Errors[0].Code, want.Errors[0].Message)
			}
		case len(want.Result) > 0:
			fmt.Fprintln(report, "end defined")
		default:
			fmt.Fprintln(report, "end undefined")
		}
		if kind == "" {
			continue
		}
		fmt.Fprintf(report, "difference %s\n", kind)
		if shown[kind]++; shown[kind] > *limit {
			continue
		}
		small := shrink(c, func(t *testCase) bool {
			w, o := runOPA(t, true), e.run(t)
			return compare(t, w, o) == kind && (*all || known(t, w, o, kind) == "")
		})
		show(fmt.Sprintf("%s (seed %d)", kind, *seed+int64(i)), &small, runOPA(&small, true), e.run(&small))
	}
}
