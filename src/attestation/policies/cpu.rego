# Claviger's built-in policy for CPU evidence: new-era configurations, id default_cpu.
#
# Every rule first asks whether its TEE is there at all, so that only reference
# values of that TEE are looked up.  A missing or expired reference value is
# undefined, and an undefined condition does not hold.
package policy

import rego.v1

trust_claims := {
	"instance-identity": 0,
	"configuration": configuration,
	"executables": executables,
	"file-system": 0,
	"hardware": hardware,
	"runtime-opaque": 0,
	"storage-opaque": 0,
	"sourced-data": 0,
}

# AR4SI: unknown code, hardware that should be known, settings that cannot be seen.
default executables := 33

default hardware := 97

default configuration := 36

# --- sample: no TEE, for tests ---

executables := 3 if {
	input.sample
	input.sample.launch_digest in query_reference_value("launch_digest")
}

hardware := 2 if {
	input.sample
	input.sample.svn in query_reference_value("svn")
	input.sample.platform_version.major == query_reference_value("major_version")
	input.sample.platform_version.minor >= query_reference_value("minimum_minor_version")
}

configuration := 2 if {
	input.sample
	input.sample.debug == false
}

# --- AMD SEV-SNP ---

executables := 3 if {
	input.snp
	input.snp.measurement in query_reference_value("snp_launch_measurement")
}

hardware := 2 if {
	input.snp
	input.snp.reported_tcb_bootloader in query_reference_value("snp_bootloader")
	input.snp.reported_tcb_microcode in query_reference_value("snp_microcode")
	input.snp.reported_tcb_snp in query_reference_value("snp_snp_svn")
	input.snp.reported_tcb_tee in query_reference_value("snp_tee_svn")
}

configuration := 2 if {
	snp_closed
	input.snp.platform_smt_enabled == query_reference_value("snp_smt_enabled")
	input.snp.platform_tsme_enabled == query_reference_value("snp_tsme_enabled")
	input.snp.policy_abi_major == query_reference_value("snp_guest_abi_major")
	input.snp.policy_abi_minor == query_reference_value("snp_guest_abi_minor")
	input.snp.policy_single_socket == query_reference_value("snp_single_socket")
	input.snp.policy_smt_allowed == query_reference_value("snp_smt_allowed")
} else := 3 if {
	snp_closed
}

snp_closed if {
	input.snp
	input.snp.policy_debug_allowed == false
	input.snp.policy_migrate_ma == false
}

# --- Intel TDX ---

executables := 3 if {
	tdx_registers
	tdx_measured("EV_EFI_BOOT_SERVICES_APPLICATION", "tdvfkernel", tdx_kernel_path)
	tdx_measured("EV_EVENT_TAG", "tdvfkernelparams", tdx_load_options)
} else := 4 if {
	tdx_registers
}

tdx_registers if {
	input.tdx
	input.tdx.quote.body.rtmr_1 in query_reference_value("rtmr_1")
	input.tdx.quote.body.rtmr_2 in query_reference_value("rtmr_2")
}

# Indexes of the log entries that may name the kernel, and its parameters.
tdx_kernel_path contains i if {
	some i, entry in input.tdx.uefi_event_logs
	"File(kernel)" in entry.details.device_paths
}

tdx_load_options contains i if {
	some i, entry in input.tdx.uefi_event_logs
	entry.details.string == "LOADED_IMAGE::LoadOptions"
}

tdx_measured(type_name, name, indexes) if {
	some i in indexes
	input.tdx.uefi_event_logs[i].type_name == type_name
	some measured in input.tdx.uefi_event_logs[i].digests
	measured.digest == query_reference_value(name)
}

hardware := 2 if {
	input.tdx
	input.tdx.quote.header.tee_type == "81000000"
	input.tdx.quote.header.vendor_id == "939a7233f79c4ca9940a0db3957f0607"
	input.tdx.quote.body.mr_td in query_reference_value("mr_td")
	input.tdx.tcb_status == "UpToDate"
	input.tdx.collateral_expiration_status == "0"
}

configuration := 2 if {
	input.tdx
	input.tdx.td_attributes.debug == false
	input.tdx.quote.body.xfam in query_reference_value("xfam")
}

# --- SEV-SNP behind Azure's vTPM ---

executables := 3 if {
	input["az-snp-vtpm"]
	input["az-snp-vtpm"].measurement in query_reference_value("measurement")
	input["az-snp-vtpm"].tpm.pcr11 in query_reference_value("snp_pcr11")
}

hardware := 2 if {
	input["az-snp-vtpm"]
	input["az-snp-vtpm"].reported_tcb_bootloader in query_reference_value("tcb_bootloader")
	input["az-snp-vtpm"].reported_tcb_microcode in query_reference_value("tcb_microcode")
	input["az-snp-vtpm"].reported_tcb_snp in query_reference_value("tcb_snp")
	input["az-snp-vtpm"].reported_tcb_tee in query_reference_value("tcb_tee")
}

configuration := 2 if {
	input["az-snp-vtpm"]
	input["az-snp-vtpm"].platform_smt_enabled in query_reference_value("smt_enabled")
	input["az-snp-vtpm"].platform_tsme_enabled in query_reference_value("tsme_enabled")
	input["az-snp-vtpm"].policy_abi_major in query_reference_value("abi_major")
	input["az-snp-vtpm"].policy_abi_minor in query_reference_value("abi_minor")
	input["az-snp-vtpm"].policy_single_socket in query_reference_value("single_socket")
	input["az-snp-vtpm"].policy_smt_allowed in query_reference_value("smt_allowed")
}

# --- TDX behind Azure's vTPM ---

executables := 3 if {
	input["az-tdx-vtpm"]
	input["az-tdx-vtpm"].tpm.pcr11 in query_reference_value("tdx_pcr11")
}

hardware := 2 if {
	input["az-tdx-vtpm"]
	input["az-tdx-vtpm"].quote.header.tee_type == "81000000"
	input["az-tdx-vtpm"].quote.header.vendor_id == "939a7233f79c4ca9940a0db3957f0607"
	input["az-tdx-vtpm"].quote.body.mr_td in query_reference_value("mr_td")
	input["az-tdx-vtpm"].tcb_status == "UpToDate"
}

configuration := 2 if {
	input["az-tdx-vtpm"]
	input["az-tdx-vtpm"].quote.body.xfam in query_reference_value("xfam")
}

# --- a TPM, and IBM Secure Execution, whose verifier has done all the checking ---

hardware := 2 if input.tpm

configuration := 0 if input.tpm

executables := 3 if {
	input.tpm
	input.tpm.pcr11 in query_reference_value("tpm_pcr11")
	input.tpm.ak_public in query_reference_value("trusted_aks")
}

executables := 3 if input.se

hardware := 2 if input.se

configuration := 2 if input.se

# --- who the workload is, as its measured Kata policy says ---

extensions := [{
	"name": "ear.trustee.identifiers",
	"key": -18,
	"value": {"validated": object.union(image_names, user_ids)},
}]

image_names := {"container_images": names} if {
	names := [name |
		some container in input.init_data_claims.agent_policy_claims.containers
		name := container.OCI.Annotations["io.kubernetes.cri.image-name"]
	]
	count(names) > 0
} else := {}

user_ids := {"container_uids": ids} if {
	ids := [id |
		some container in input.init_data_claims.agent_policy_claims.containers
		id := container.OCI.Process.User.UID
	]
	count(ids) > 0
} else := {}
