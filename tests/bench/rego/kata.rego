# An agent inside of a confidential machine may create the containers that were
# foreseen, and no others: each request is held against every one of them.
package agent_policy

import rego.v1

default CreateContainerRequest := false

default CopyFileRequest := false

default ExecProcessRequest := false

default StartContainerRequest := true

CreateContainerRequest if {
	input.string_user == null
	count(input.shared_mounts) == 0
	some container in policy_data.containers
	allow_create(container, input.OCI, input.storages)
}

allow_create(want, oci, storages) if {
	want.OCI.Version == oci.Version
	want.OCI.Root.Readonly == oci.Root.Readonly
	allow_names(want, oci)
	allow_by_annotations(want, oci, storages)
	allow_linux(want.OCI.Linux, oci.Linux)
}

# ---- names and annotations ----

allow_names(want, oci) if {
	name := oci.Annotations["io.kubernetes.cri.sandbox-name"]
	regex.match(want.sandbox_name, name)
	namespace := oci.Annotations["io.kubernetes.cri.sandbox-namespace"]
	namespace == want.OCI.Annotations["io.kubernetes.cri.sandbox-namespace"]
}

allow_by_annotations(want, oci, storages) if {
	bundle := oci.Annotations["io.kata.bundle"]
	id := trim_prefix(bundle, "/run/containerd/io.containerd.runtime.v2.task/k8s.io/")
	regex.match("^[a-z0-9]{64}$", id)
	sandbox_id := oci.Annotations["io.kubernetes.cri.sandbox-id"]
	regex.match("^[a-z0-9]{64}$", sandbox_id)
	allow_annotations(want, oci)
	allow_process(want.OCI.Process, oci.Process, oci.Annotations["io.kubernetes.cri.sandbox-name"])
	allow_mounts(want, oci, id, sandbox_id)
	allow_storages(want.storages, storages, id, sandbox_id)
}

allow_annotations(want, oci) if {
	every key, text in oci.Annotations {
		allow_annotation(want, key, text)
	}
}

dynamic_annotations := {
	"io.kata.bundle",
	"io.kubernetes.cri.sandbox-id",
	"io.kubernetes.cri.sandbox-name",
	"io.kubernetes.cri.sandbox-uid",
	"nerdctl/network-namespace",
}

allow_annotation(_, key, _) if key in dynamic_annotations

allow_annotation(want, key, text) if want.OCI.Annotations[key] == text

# ---- the process ----

allow_process(want, process, name) if {
	want.Cwd == process.Cwd
	want.NoNewPrivileges == process.NoNewPrivileges
	want.Terminal == process.Terminal
	allow_user(want.User, process.User)
	allow_capabilities(want.Capabilities, process.Capabilities)
	allow_args(want.Args, process.Args, name)
	allow_env(want.Env, process.Env, name)
}

allow_user(want, user) if {
	want.UID == user.UID
	want.GID == user.GID
	{gid | some gid in want.AdditionalGids} == {gid | some gid in user.AdditionalGids}
}

allow_capabilities(want, have) if {
	every kind in ["Ambient", "Bounding", "Effective", "Inheritable", "Permitted"] {
		allow_capability_set(want[kind], have[kind])
	}
}

allow_capability_set(want, have) if want == have

allow_capability_set(want, have) if {
	want == ["$(default_caps)"]
	{c | some c in have} == {c | some c in policy_data.common.default_caps}
}

allow_args(want, args, _) if {
	count(want) == 0
	not args
}

allow_args(want, args, name) if {
	count(want) == count(args)
	every i, arg in args {
		allow_arg(want[i], arg, name)
	}
}

allow_arg(want, arg, _) if want == arg

allow_arg(want, arg, name) if replace(want, "$(sandbox-name)", name) == arg

allow_env(want, env, name) if {
	every variable in env {
		allow_variable(want, variable, name)
	}
}

allow_variable(want, variable, _) if {
	some w in want
	w == variable
}

allow_variable(want, variable, name) if {
	some w in want
	contains(w, "$(sandbox-name)")
	replace(w, "$(sandbox-name)", name) == variable
}

allow_variable(want, variable, _) if {
	some w in want
	contains(w, "$(pod-ip)")
	parts := split(w, "$(pod-ip)")
	startswith(variable, parts[0])
	ip := trim_suffix(trim_prefix(variable, parts[0]), parts[1])
	is_ip(ip)
}

allow_variable(_, variable, _) if {
	parts := split(variable, "=")
	count(parts) == 2
	is_service_name(parts[0])
	is_ip_or_port(parts[1])
}

is_service_name(name) if {
	some suffix in ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_TCP"]
	endswith(name, suffix)
	regex.match("^[A-Z0-9_]+$", name)
}

is_ip_or_port(text) if is_ip(text)

is_ip_or_port(text) if regex.match("^[0-9]{1,5}$", text)

is_ip_or_port(text) if regex.match("^(tcp|udp)(://[0-9.]+:[0-9]+)?$", text)

is_ip(text) if {
	parts := split(text, ".")
	count(parts) == 4
	every part in parts {
		regex.match("^[0-9]{1,3}$", part)
		to_number(part) < 256
	}
}

# ---- mounts and storages ----

allow_mounts(want, oci, id, sandbox_id) if {
	count(want.OCI.Mounts) == count(oci.Mounts)
	every mount in oci.Mounts {
		allow_mount(want, mount, id, sandbox_id)
	}
}

allow_mount(want, mount, id, sandbox_id) if {
	some w in want.OCI.Mounts
	w.destination == mount.destination
	w.type_ == mount.type_
	w.options == mount.options
	allow_source(w.source, mount.source, id, sandbox_id)
}

allow_source(want, source, _, _) if want == source

allow_source(want, source, id, sandbox_id) if {
	pattern := replace(replace(replace(want, "$(sfprefix)", policy_data.common.sfprefix), "$(bundle-id)", id), "$(sandbox-id)", sandbox_id)
	regex.match(pattern, source)
}

allow_storages(want, storages, id, sandbox_id) if {
	count(want) == count(storages)
	every storage in storages {
		some w in want
		w.driver == storage.driver
		w.fstype == storage.fstype
		w.driver_options == storage.driver_options
		{o | some o in w.options} == {o | some o in storage.options}
		regex.match(replace(replace(w.mount_point, "$(bundle-id)", id), "$(sandbox-id)", sandbox_id), storage.mount_point)
	}
}

# ---- what the kernel is asked for ----

allow_linux(want, have) if {
	allow_namespaces(want.Namespaces, have.Namespaces)
	want.MaskedPaths == have.MaskedPaths
	want.ReadonlyPaths == have.ReadonlyPaths
	every name, setting in have.Sysctl {
		want.Sysctl[name] == setting
	}
}

allow_namespaces(want, have) if {
	types := {n.Type | some n in have; n.Path == ""}
	types == {n.Type | some n in want}
}
