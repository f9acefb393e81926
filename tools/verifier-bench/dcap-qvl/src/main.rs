//! Verifications of one quote with collateral that is at hand: microseconds of the
//! fastest slice, as JSON.
//!
//!   verifier-bench-dcap-qvl QUOTE BUNDLE UNIX-TIME MILLISECONDS
use dcap_qvl::{verify::ring::verify, QuoteCollateralV3};
use std::time::{Duration, Instant};

const ROUNDS: u32 = 7;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let quote = std::fs::read(&args[1]).expect("quote");
    let bundle: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&args[2]).expect("bundle")).expect("JSON");
    let now: u64 = args[3].parse().expect("time");
    let slice = Duration::from_millis(args[4].parse().expect("milliseconds"));

    let text = |name: &str| bundle[name].as_str().expect(name).to_string();
    let bytes = |name: &str| hex::decode(text(name)).expect(name);
    // The text as it was signed, and its signature.
    let signed = |name: &str, member: &str| {
        let whole = text(name);
        let start = whole.find(&format!("\"{member}\":")).expect(member) + member.len() + 3;
        let end = whole.rfind(",\"signature\"").expect("signature");
        let parsed: serde_json::Value = serde_json::from_str(&whole).expect(name);
        let signature = hex::decode(parsed["signature"].as_str().expect("signature")).expect("hex");
        (whole[start..end].to_string(), signature)
    };
    let (tcb_info, tcb_info_signature) = signed("tcb_info", "tcbInfo");
    let (qe_identity, qe_identity_signature) = signed("qe_identity", "enclaveIdentity");
    let collateral = QuoteCollateralV3 {
        pck_crl_issuer_chain: text("pck_crl_issuer_chain"),
        root_ca_crl: bytes("root_ca_crl"),
        pck_crl: bytes("pck_crl"),
        tcb_info_issuer_chain: text("tcb_info_issuer_chain"),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: text("qe_identity_issuer_chain"),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    };
    let report = verify(&quote, &collateral, now).expect("verified");

    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut n = 0u32;
        while start.elapsed() < slice {
            std::hint::black_box(verify(&quote, &collateral, now).expect("verified"));
            n += 1;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(n));
    }
    println!("{{\"us\":{best:.2},\"status\":\"{}\"}}", report.status);
}
