# A policy that asks for reference values by name, from among a hundred thousand.
package policy

import rego.v1

default executables := 33

default hardware := 97

executables := 3 if {
	input.snp.measurement in data.reference.snp_launch_measurement
}

hardware := 2 if {
	input.snp.reported_tcb_bootloader in data.reference.snp_bootloader
	input.snp.reported_tcb_microcode in data.reference.snp_microcode
	input.snp.reported_tcb_snp in data.reference.snp_snp_svn
	input.snp.reported_tcb_tee in data.reference.snp_tee_svn
}

verdict := {"executables": executables, "hardware": hardware}
