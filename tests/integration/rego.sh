#!/bin/bash
# The program rego: options, forms, statuses (INTERFACES.md, Tools).
no_pki=1
. "$(dirname "$0")/lib.sh"
rego=$build/programs/rego
cd "$work" || exit 99

cat >a.rego <<'E'
package a

p contains x if some x in [1, 2]

q := 1 if input.x > 1

r := 1 / 0
E
echo '{"x": 2}' >in.json
printf 'x: 2\n' >in.yaml
echo '{"d": {"k": [1, 2]}}' >data.json
mkdir -p tree/inner bundle/a/b
cp a.rego tree/
echo '{"z": 1}' >tree/inner/data.json
echo '{"roots": ["a"]}' >bundle/.manifest
echo '{"v": 1}' >bundle/a/b/data.json
printf 'package a.c\n\nw := 1\n' >bundle/a/c.rego

# gives NAME STATUS WANTED COMMAND...
gives() {
    local name=$1 status=$2 want=$3 got
    shift 3
    got=$("$@" 2>&1)
    local is=$?
    count=$((count + 1))
    # shellcheck disable=SC2053 # a pattern
    if [ "$is" = "$status" ] && [[ "$got" == $want ]]; then
        echo "ok $count - $name"
    else
        bad=$((bad + 1))
        echo "not ok $count - $name"
        printf 'status %s\n%s\n' "$is" "$got" | sed 's/^/# /'
    fi
}

gives "a value" 0 1 "$rego" eval -f raw -d a.rego -i in.json data.a.q
gives "input of YAML" 0 1 "$rego" eval -f raw -d a.rego -i in.yaml data.a.q
gives "input from standard input" 0 1 bash -c "'$rego' eval -f raw -d a.rego -I data.a.q <in.json"
gives "undefined is {}" 0 '{}' "$rego" eval -d a.rego data.a.none
gives "OPA's JSON" 0 '{*"result": \[*"expressions": \[*"value": 1,*"text": "data.a.q",*"location": {*"row": 1,*"col": 1*' "$rego" eval -d a.rego -i in.json data.a.q
gives "bindings" 0 '*"bindings": {*"x": 1*' "$rego" eval 'x := 1'
gives "values" 0 $'\[\n  1\n\]' "$rego" eval -f values 1
gives "a table" 0 '*│ x │ y │*' "$rego" eval -f pretty 'x = 1; y := [1, 2][_]'
gives "discarded" 0 '*"result": "discarded"*' "$rego" eval -f discard 1
gives "a folder" 0 1 "$rego" eval -f raw -d tree data.inner.z
gives "a file below a path" 0 2 "$rego" eval -f raw -d e.f:data.json 'count(data.e.f.d.k)'
gives "a file named twice" 0 '{"inner":{"z":1}}' "$rego" eval -f raw -d tree -d ./tree//a.rego -d tree '{k: v | v := data[k]; k != "a"}'
echo '{"d": {"k": 3}}' >other.json
gives "two files with one place" 2 '*"message": "other.json: merge error: conflicting values at data.d.k, also defined in data.json"*' "$rego" eval -d data.json -d other.json 1
gives "no input" 2 'open nofile: no such file or directory' "$rego" eval -i nofile 1
printf 'a: 1\n---\nb: 2\n' >two.yaml
gives "input of YAML that is wrong" 2 'unable to parse input: *document*' "$rego" eval -i two.yaml input
gives "a form that is none" 1 '*invalid argument "none" for --format: must be one of {json,*,discard}*' "$rego" eval -f none 1
gives "a time that is none" 1 '*must be a duration like "30s" or "5m"*' "$rego" eval --timeout 5 1
gives "a bundle" 0 2 "$rego" eval -f raw -b bundle 'data.a.b.v + data.a.c.w'
mkdir -p second/a/b/c third
echo '{"roots": ["q", "a/b/c"]}' >second/.manifest
gives "bundles that overlap" 2 '*"bundle activation failed: detected overlapping roots in manifests for these bundles: \[bundle, second\] (a overlaps a/b/c)"*' "$rego" eval -b bundle -b second 1
gives "bundles of everything" 1 '*bundles \[third, bundle\] have overlapping roots and * bundle(s) \[third\] specify empty root paths*' "$rego" test -b third bundle
gives "a bundle named twice" 0 2 "$rego" eval -f raw -b bundle -b bundle 'data.a.b.v + data.a.c.w'
gives "a bundle beside a folder" 0 '{"v":1}' "$rego" eval -f raw -b bundle -d tree/inner data.a.b
gives "a file is no bundle" 2 '*a bundle is a folder here*' "$rego" eval -b bundle/a/c.rego 1
echo '{"roots": ["x"]}' >bundle/.manifest
gives "outside of a bundle's roots" 2 '*manifest roots do not permit*' "$rego" eval -b bundle data
gives "package of the query" 0 1 "$rego" eval -f raw --package a -d a.rego -i in.json q
gives "import of the query" 0 1 "$rego" eval -f raw --import data.a -d a.rego -i in.json a.q
gives "print goes to standard error" 0 'x 1' bash -c "'$rego' eval 'print(\"x\", 1)' 2>&1 >/dev/null"
gives "--fail" 1 '*' "$rego" eval --fail '1 == 2; true'
gives "--fail-defined" 1 '*' "$rego" eval --fail-defined 1
gives "strict built-in errors" 2 '*"code": "eval_builtin_error"*"file": "a.rego",*"row": 7*' "$rego" eval --strict-builtin-errors -d a.rego data.a.r
gives "an error of the query" 2 '*"code": "rego_unsafe_var_error"*' "$rego" eval x
gives "a missing file" 2 '*no such file or directory*' "$rego" eval -d nofile 1
gives "no query" 1 '*specify query argument*' "$rego" eval
gives "unknown option" 1 '*' "$rego" eval --none 1
gives "unknown command" 1 '*unknown command*' "$rego" none
printf 'package a\np := [1,\nq := 2\n' >bad.rego
gives "a policy that does not parse" 2 '*"code": "rego_parse_error"*"line": "q := 2"*' "$rego" eval -d bad.rego 1
gives "check: fine" 0 '' "$rego" check a.rego
gives "check: refused" 1 '*bad.rego:3: rego_parse_error*' "$rego" check bad.rego
printf 'package a\np if { true \n' >eof.rego
gives "check: an end that comes too soon" 1 $'1 error occurred during loading: eof.rego:3: rego_parse_error: unexpected eof token\n\tp if { true \n\t          ^' "$rego" check eof.rego
gives "check: a line and what was expected" 1 $'2 errors occurred during loading:\nbad.rego:3: rego_parse_error: unexpected assign token: expected "," or "]"\n\tq := 2\n\t  ^\nbad.rego:3: *: expected rule value term (e.g., p := <VALUE> { ... })\n\tq := 2\n\t  ^' "$rego" check bad.rego
gives "check: what is no rule has no line" 1 $'1 error occurred during loading: half.rego:1: rego_parse_error: package expected' bash -c "echo 'p := 1' >half.rego; '$rego' check half.rego"
gives "check: text of JSON as Go writes it" 1 '*"message": "unexpected assign token: expected rule value term (e.g., p := \\u003cVALUE\\u003e { ... })"*' "$rego" check -f json bad.rego
gives "check: all that does not load" 1 $'3 errors occurred during loading:\nstat nofile: no such file or directory\nbad.rego:3: *' "$rego" check nofile bad.rego
echo '{"x": }' >broken.json
gives "check: documents are left alone" 0 '' "$rego" check a.rego broken.json
{ echo "package a" && for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "p$i := none$i(1)"; done; } >many.rego
gives "check: ten errors" 1 $'11 errors occurred:\nmany.rego:2: *none10\nrego_compile_error: error limit reached' "$rego" check many.rego
gives "check: three" 1 $'4 errors occurred:*none3\nrego_compile_error: error limit reached' "$rego" check -m 3 many.rego
gives "check: all" 1 $'12 errors occurred:*none12' "$rego" check --max-errors 0 many.rego
gives "test: three errors" 1 $'4 errors occurred:*none3\nrego_compile_error: error limit reached' "$rego" test -m 3 many.rego
gives "a query's line" 2 $'1 error occurred: 1:8: rego_parse_error: unexpected eof token\n\tinput.x[\n\t       ^' "$rego" eval -f pretty 'input.x['
gives "a query's line as JSON" 2 '*"details": {*"line": "input.x\[",*"idx": 7*' "$rego" eval 'input.x['
printf 'package v0\n\np[x] { x := 1 }\n' >v0.rego
gives "v0 is refused by default" 1 '*' "$rego" check v0.rego
gives "--v0-compatible" 0 '\[1\]' "$rego" eval -f raw --v0-compatible -d v0.rego data.v0.p

cat >a_test.rego <<'E'
package a_test

import data.a

test_good if a.q == 1 with input.x as 2

test_bad if a.q == 1 with input.x as 1

todo_test_later if false
E
gives "test: one fails" 2 '*data.a_test.test_bad: FAIL*PASS: 1/3*FAIL: 1/3*SKIPPED: 1/3' "$rego" test a.rego a_test.rego
gives "test: one chosen" 0 'PASS: 1/1' "$rego" test -r good a.rego a_test.rego
gives "test: coverage" 0 '*"coverage": *' "$rego" test -c -r good a.rego a_test.rego
gives "test: threshold" 2 '*threshold not met*' "$rego" test -c --threshold 99 -r good a.rego a_test.rego

cat >cases_test.rego <<'E'
package cases

test_sum[tc.note] if {
	some tc in [{"note": "good", "a": 1, "want": 2}, {"note": "bad", "a": 1, "want": 3}, {"note": "half", "a": 1}]
	print("case", tc.note)
	tc.a + 1 == tc.want
}

test_one := 1

test_deep[a][b] if {
	some a, x in {"p": {"q": 1, "r": 2}}
	some b, y in x
	y > 1
}
E
# A case that was met and did not hold has failed; what a test prints stands below it.
gives "test: cases" 2 'cases_test.rego:3:
data.cases.test_sum: FAIL (*)
  bad: FAIL
  half: FAIL

  case good
  case bad
  case half

cases_test.rego:9:
data.cases.test_one: FAIL (*)
cases_test.rego:11:
data.cases.test_deep: FAIL (*)
  p: FAIL
    q: FAIL
--*
PASS: 2/6
FAIL: 4/6' "$rego" test cases_test.rego
gives "test: cases as JSON" 2 '*"sub_results": {*"bad": {*"name": "bad",*"fail": true*"good": {*"name": "good"*}*' "$rego" test -f json cases_test.rego
cat >slow_test.rego <<'E'
package slow

test_long if count([1 | numbers.range(1, 100000)[_]; numbers.range(1, 100000)[_]]) == 0

test_short if true
E
gives "test: the time of one is not that of the next" 2 $'slow_test.rego:3:\ndata.slow.test_long: ERROR (*eval_cancel_error*PASS: 1/2\nERROR: 1/2' "$rego" test --timeout 20ms -r test_ slow_test.rego
gives "test: a bad pattern" 1 '*error parsing regexp: missing closing )*' "$rego" test -r '(' cases_test.rego
gives "test: nothing was run" 1 'no tests were run' "$rego" test -r none --fail-on-empty cases_test.rego
gives "test: a threshold means coverage" 2 '*threshold not met*' "$rego" test --threshold 99 -r good a.rego a_test.rego
gives "test: a threshold of no use" 1 '*between 0 and 100*' "$rego" test --threshold 101 a_test.rego
gives "test: coverage of what fails" 1 '*FAIL*' "$rego" test -c a.rego a_test.rego
gives "test: does not parse" 1 '*rego_parse_error*' "$rego" test bad.rego
gives "a list of names to leave out" 0 '{"inner":{"z":1}}' "$rego" eval -f raw --ignore 'x*,a.rego' -d tree data
printf 'package u\n\nimport data.foo\n\nx if { y := 1; true }\n' >unused.rego
gives "strict: variables and imports" 1 '*assigned var y unused*import data.foo unused*' "$rego" check -S unused.rego

gives "eval: coverage" 0 '{*"result": \[*"coverage": {*"files": {*"a.rego": {*"covered": \[*"row": 5*"coverage": *' "$rego" eval --coverage -d a.rego -i in.json data.a.q
gives "eval: coverage within a package" 0 $'1\n*│ Overall Coverage │ [1-9]*' "$rego" eval --coverage -f pretty --package a -d a.rego -i in.json q
gives "eval: metrics" 0 '{*"metrics": {*"timer_rego_load_files_ns": [1-9]*"timer_rego_module_compile_ns": [1-9]*"timer_rego_query_eval_ns": [1-9]*' "$rego" eval --metrics -d a.rego -i in.json data.a.q
gives "eval: metrics of what is discarded" 0 $'{\n  "metrics": {*  "result": "discarded"\n}' "$rego" eval --metrics -f discard -d a.rego -i in.json data.a.q
gives "eval: errors of built-in functions" 0 $'{\n  "errors": [*"message": "to_number: *"message": "div: divide by zero"*"result": [*"x": *' "$rego" eval --show-builtin-errors 'x := [y | some n in ["b"]; y := to_number(n)]; z := {y | y := 1 / 0}'
gives "eval: and none without" 0 $'{\n  "result": [*' "$rego" eval 'x := [y | some n in ["b"]; y := to_number(n)]'
gives "eval: they are not fatal as well" 1 '*but not both' "$rego" eval --show-builtin-errors --strict-builtin-errors 1
gives "options that change nothing" 0 1 "$rego" eval -f raw -t rego -O 1 -e a/q -u input --pretty-limit 10 --explain off --var-values 1
gives "another target" 1 '*must be one of {rego}*' "$rego" eval -t wasm 1
printf 'package b\n\nimport rego.v1\n\np if input.x\n' >both.rego
gives "check: both versions" 0 '' "$rego" check --v0-v1 both.rego
gives "check: not both" 1 '*keyword is required*' "$rego" check --v0-v1 v0.rego
gives "test: a benchmark" 0 $'BenchmarkDataATestTestGood\t *[0-9] ns/op\t *timer_rego_query_eval_ns/op\t *B/op\t *allocs/op\n---*PASS: 1/1' "$rego" test --bench -f gobench -r good a.rego a_test.rego
gives "test: a benchmark of what fails" 2 $'a_test.rego:7:\ndata.a_test.test_bad: FAIL (*' "$rego" test --bench -r bad a.rego a_test.rego
gives "test: gobench without one" 1 '*--bench*' "$rego" test -f gobench a.rego
printf 'package f\np:=1\n' >f.rego
gives "fmt" 0 $'package f\n\np := 1' "$rego" fmt f.rego
gives "fmt --list" 0 f.rego "$rego" fmt --list f.rego
gives "fmt --fail" 2 'unexpected diff' "$rego" fmt --fail f.rego
gives "fmt --write" 0 '' "$rego" fmt --write f.rego
gives "fmt: of standard input" 1 '1 error occurred: stdin:3: rego_parse_error: unexpected eof token*' bash -c "'$rego' fmt <eof.rego"
gives "a bad import of the query" 2 '1 error occurred: 2:8: rego_parse_error: unexpected import path*updating OPA)' "$rego" eval -f pretty --import foo 1
gives "fmt: does not parse" 2 $'failed to format Rego source file: 1 error occurred: eof.rego:3: rego_parse_error: unexpected eof token\n\tp if { true \n\t          ^' "$rego" fmt eof.rego
gives "fmt of what is laid out" 0 '' "$rego" fmt --fail f.rego
gives "explain" 0 '*left:  1   (/input/x)*would hold with /input/x = *' bash -c "echo '{\"x\": 1}' >one.json; '$rego' explain -d a.rego -i one.json data.a.q"
gives "explain: it holds" 0 holds "$rego" explain -d a.rego -i in.json data.a.q
gives "rego.parse_module" 0 '{"package":{"path":\[{"type":"var","value":"data"},{"type":"string","value":"a"}\]},"rules":\[{"body":\[{"index":0,"terms":\[{"type":"ref","value":\[{"type":"var","value":"gt"}\]},{"type":"ref","value":\[{"type":"var","value":"input"},{"type":"string","value":"x"}\]},{"type":"number","value":1}\]}\],"head":{"name":"p","ref":\[{"type":"var","value":"p"}\],"value":{"type":"boolean","value":true}}}\]}' "$rego" eval -f raw 'rego.parse_module("p.rego", "package a\np if input.x > 1")'
gives "rego.parse_module of what is no module" 2 '*"rego.parse_module: 1 error occurred: p.rego:1: rego_parse_error*' "$rego" eval --strict-builtin-errors 'rego.parse_module("p.rego", "x")'
gives "disasm" 0 '*data.a.q*JUMP*' "$rego" disasm a.rego
gives "bench of what is undefined" 1 '*undefined result' "$rego" bench data.none
gives "bench" 0 '*"ns_per_evaluation": *' "$rego" bench --evaluations 10 -f json -d a.rego -i in.json data.a.q
gives "bench: a table" 0 $'┌*\n│ samples *│ *10 │\n│ ns/op *│*│ B/op *' "$rego" bench --evaluations 10 -d a.rego -i in.json data.a.q
gives "bench: twice" 0 $'BenchmarkOPAEval\t*\nBenchmarkOPAEval\t*' "$rego" bench --count 2 --evaluations 3 -f gobench 1
gives "bench: Go's line" 0 $'BenchmarkOPAEval\t *10\t *[0-9] ns/op' "$rego" bench --evaluations 10 -f gobench --benchmem=false -d a.rego -i in.json data.a.q
gives "repl: rules" 0 $'*re-defined in package repl*\n3\n*error occurred: repl:*var x is unsafe*\npackage repl\ny := x + 1\nx := 2' bash -c "printf 'x := 1\ny := x + 1\nx := 2\ny\nunset x\nshow\n' | '$rego' repl"
gives "repl: lines that go on" 0 $'*\n\[\n  1,\n  2\n\]\n1 error occurred: 1:3: rego_parse_error: unexpected eof token*\n1' bash -c "printf 'p contains x if {\nsome x in [1, 2]\n}\np\n[1,\n\n1\n' | '$rego' repl"
gives "disasm of no rules" 0 '' bash -c "echo 'package a' >no-rules.rego; '$rego' disasm no-rules.rego"
gives "disasm of nothing" 1 '*at least one file*' "$rego" disasm
gives "repl" 0 $'Rule \'x\' defined in package repl. Type \'show\' to see rules.\n2' bash -c "printf 'x := 1\nx + 1\nexit\n' | '$rego' repl"
finish
