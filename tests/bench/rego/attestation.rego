# What a verifier's claims about a confidential machine's processor and its
# measured boot are worth: four claims of a trust vector.
package policy

import rego.v1

default executables := 33

default hardware := 97

default configuration := 36

default file_system := 35

executables := 3 if {
	input.azsnpvtpm
	boot_is_known
	input.azsnpvtpm.measurement in data.reference.snp_launch
}

boot_is_known if {
	input.azsnpvtpm.tpm.pcr03 in data.reference.pcr03
	input.azsnpvtpm.tpm.pcr08 in data.reference.pcr08
	input.azsnpvtpm.tpm.pcr09 in data.reference.pcr09
	input.azsnpvtpm.tpm.pcr11 in data.reference.pcr11
	input.azsnpvtpm.tpm.pcr12 in data.reference.pcr12
}

hardware := 2 if {
	snp := input.azsnpvtpm
	snp.reported_tcb_bootloader in data.reference.tcb_bootloader
	snp.reported_tcb_microcode in data.reference.tcb_microcode
	snp.reported_tcb_snp in data.reference.tcb_snp
	snp.reported_tcb_tee in data.reference.tcb_tee
	snp.vmpl <= 1
}

configuration := 2 if {
	snp := input.azsnpvtpm
	snp.policy_debug_allowed == false
	snp.policy_migrate_ma == false
	snp.platform_smt_enabled in data.reference.smt_enabled
	snp.platform_tsme_enabled in data.reference.tsme_enabled
	snp.policy_abi_major in data.reference.abi_major
	snp.policy_abi_minor in data.reference.abi_minor
}

file_system := 2 if {
	every name, want in data.reference.file_system {
		input.init_data_claims.fs[name] == want
	}
}

verdict := {
	"executables": executables,
	"hardware": hardware,
	"configuration": configuration,
	"file-system": file_system,
}
