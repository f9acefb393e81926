//! What regorus takes for the policies that `bench_rego -w DIRECTORY` wrote: its
//! interpreter (prepared engine) and its register machine (compiled policy); in
//! microseconds, a line of JSON for each.  Functions that it does not have, or
//! answers that differ, are null.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};

type Failure = Box<dyn std::error::Error>;

/// Microseconds of the fastest batch.
fn fastest<F: FnMut() -> Result<(), Failure>>(budget: Duration, mut f: F) -> Result<f64, Failure> {
    let (mut batch, mut best) = (1u32, Duration::MAX);
    let start = Instant::now();
    while start.elapsed() < budget {
        let before = Instant::now();
        for _ in 0..batch {
            f()?;
        }
        let took = before.elapsed();
        best = best.min(took / batch);
        if took < Duration::from_micros(20) {
            batch *= 2;
        }
    }
    Ok(best.as_nanos() as f64 / 1e3)
}

struct Work {
    policy: String,
    path: String,
    input: Option<Value>,
    data: Value,
    want: Option<Value>,
}

fn read(dir: &Path, name: &str) -> Result<String, Failure> {
    Ok(fs::read_to_string(dir.join(name))?)
}

fn json(text: &str) -> Result<Option<Value>, Failure> {
    Ok(if text.is_empty() { None } else { Some(Value::from_json_str(text)?) })
}

fn engine(w: &Work) -> Result<Engine, Failure> {
    let mut e = Engine::new();
    e.add_policy("policy.rego".into(), w.policy.clone())?;
    e.add_data(w.data.clone())?;
    if let Some(input) = &w.input {
        e.set_input(input.clone());
    }
    Ok(e)
}

fn check(w: &Work, got: &Value) -> Result<(), Failure> {
    match &w.want {
        Some(want) if want != got => Err(format!("{got} instead of {want}").into()),
        _ if *got == Value::Undefined => Err("undefined".into()),
        _ => Ok(()),
    }
}

fn interpreter(w: &Work, budget: Duration) -> Result<(f64, f64), Failure> {
    let mut e = engine(w)?;
    check(w, &e.eval_rule(w.path.clone())?)?;
    let cold = fastest(budget, || {
        let mut fresh = engine(w)?;
        black_box(fresh.eval_rule(w.path.clone())?);
        Ok(())
    })?;
    let prepared = fastest(budget, || {
        if let Some(input) = &w.input {
            e.set_input(input.clone());
        }
        black_box(e.eval_rule(w.path.clone())?);
        Ok(())
    })?;
    Ok((cold, prepared))
}

fn machine(w: &Work, budget: Duration) -> Result<f64, Failure> {
    let entry: Rc<str> = w.path.as_str().into();
    let compiled = engine(w)?.compile_with_entrypoint(&entry)?;
    let program: Arc<_> = Compiler::compile_from_policy(&compiled, &[w.path.as_str()])?;
    let mut vm = RegoVM::new_with_policy(compiled);
    vm.load_program(program);
    vm.set_data(w.data.clone())?;
    if let Some(input) = &w.input {
        vm.set_input(input.clone());
    }
    check(w, &vm.execute()?)?;
    fastest(budget, || {
        if let Some(input) = &w.input {
            vm.set_input(input.clone());
        }
        black_box(vm.execute()?);
        Ok(())
    })
}

fn figure(x: Option<f64>) -> String {
    x.map_or("null".into(), |us| format!("{us:.3}"))
}

fn measure(dir: &Path, budget: Duration) -> Result<(), Failure> {
    let name = read(dir, "name")?;
    let w = Work {
        policy: read(dir, "policy.rego")?,
        path: read(dir, "path")?,
        input: json(&read(dir, "input.json")?)?,
        data: json(&read(dir, "data.json")?)?.unwrap_or(Value::new_object()),
        want: json(&read(dir, "want.json")?)?,
    };
    let tell = |what: &str, e: Failure| {
        let text: String = e.to_string().lines().filter(|l| l.starts_with("error")).collect();
        eprintln!("regorus, {what}: {name}: {text}");
    };
    let interpreted = interpreter(&w, budget).map_err(|e| tell("engine", e)).ok();
    let run = machine(&w, budget).map_err(|e| tell("machine", e)).ok();
    println!(
        "{{\"name\":\"{name}\",\"cold\":{},\"prepared\":{},\"machine\":{}}}",
        figure(interpreted.map(|x| x.0)),
        figure(interpreted.map(|x| x.1)),
        figure(run)
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    if args.len() < 2 {
        return Err("usage: rego-bench-regorus DIRECTORY [MILLISECONDS]".into());
    }
    let ms = args.get(2).map_or(Ok(200), |s| s.parse())?;
    let mut dirs: Vec<_> = fs::read_dir(&args[1])?.map(|d| d.map(|d| d.path())).collect::<Result<_, _>>()?;
    dirs.sort();
    for dir in dirs {
        measure(&dir, Duration::from_millis(ms))?;
    }
    Ok(())
}
