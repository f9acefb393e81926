# What an Azure confidential VM has to have measured: firmware and kernel
# (PCR 3, 9, 11, 12) and the initdata of the pod (PCR 8).
package policy

import rego.v1

measured := input.azsnpvtpm.tpm

default executables := 33

executables := 3 if {
	measured.pcr03 in data.reference.pcr03
	measured.pcr08 in data.reference.pcr08
	measured.pcr09 in data.reference.pcr09
	measured.pcr11 in data.reference.pcr11
	measured.pcr12 in data.reference.pcr12
}

default hardware := 97

hardware := 0 if input.azsnpvtpm

default configuration := 36

configuration := 0 if input.azsnpvtpm
