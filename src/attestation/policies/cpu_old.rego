# Claviger's built-in policy for CPU evidence: old-era configurations, id default.
#
# It gives what Trustee v0.13 gave.  Only three claims are made; reference
# values are read from the data document, expired ones are not in it.
package policy

import rego.v1

default executables := 33

default hardware := 97

default configuration := 36

# --- sample ---

executables := 3 if input.sample.launch_digest in data.reference.launch_digest

hardware := 2 if input.sample.svn in data.reference.svn

# --- AMD SEV-SNP; claims of this era are strings ---

executables := 3 if input.snp.measurement in data.reference.snp_launch_measurement

hardware := 2 if {
	input.snp.reported_tcb_bootloader in data.reference.snp_bootloader
	input.snp.reported_tcb_microcode in data.reference.snp_microcode
	input.snp.reported_tcb_snp in data.reference.snp_snp_svn
	input.snp.reported_tcb_tee in data.reference.snp_tee_svn
}

# The two numbers never equal a string, so that SNP stays at 36 here, as it did there.
configuration := 2 if {
	input.snp.policy_debug_allowed == 0
	input.snp.policy_migrate_ma == 0
	input.snp.platform_smt_enabled in data.reference.snp_smt_enabled
	input.snp.platform_tsme_enabled in data.reference.snp_tsme_enabled
	input.snp.policy_abi_major in data.reference.snp_guest_abi_major
	input.snp.policy_abi_minor in data.reference.snp_guest_abi_minor
	input.snp.policy_single_socket in data.reference.snp_single_socket
	input.snp.policy_smt_allowed in data.reference.snp_smt_allowed
}

# --- Intel TDX ---

executables := 3 if {
	input.tdx.quote.body.rtmr_1 in data.reference.rtmr_1
	input.tdx.quote.body.rtmr_2 in data.reference.rtmr_2
}

hardware := 2 if {
	input.tdx.quote.header.tee_type == "81000000"
	input.tdx.quote.header.vendor_id == "939a7233f79c4ca9940a0db3957f0607"
	input.tdx.quote.body.mr_seam in data.reference.mr_seam
	input.tdx.quote.body.tcb_svn in data.reference.tcb_svn
	input.tdx.quote.body.mr_td in data.reference.mr_td
}

configuration := 2 if {
	input.tdx.td_attributes.debug == false
	input.tdx.quote.body.xfam in data.reference.xfam
}
