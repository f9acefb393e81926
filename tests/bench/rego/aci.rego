# Containers of a group, by their layers and all that they may be started with.
# What may still become of each of them is kept by the host in data.metadata.
package policy

import rego.v1

default create_container := {"allowed": false}

default mount_overlay := {"allowed": false}

mount_overlay := {"allowed": true, "matches": matches} if {
	not overlay_exists
	matches := [c | some c in group.containers; layers_ok(c.layers)]
	count(matches) > 0
}

overlay_exists if data.metadata.overlays[input.containerID]

layers_ok(layers) if {
	count(layers) == count(input.layerPaths)
	every i, path in input.layerPaths {
		layers[(count(layers) - i) - 1] == data.metadata.devices[path]
	}
}

candidates := data.metadata.matches[input.containerID]

create_container := {
	"allowed": true,
	"env_list": env_list,
	"caps_list": caps_list,
	"allow_stdio_access": stdio,
	"metadata": [{
		"name": "matches",
		"action": "update",
		"key": input.containerID,
		"value": containers,
	}],
} if {
	not data.metadata.started[input.containerID]
	possible := [c |
		some c in candidates
		no_new_privileges_ok(c.no_new_privileges)
		user_ok(c.user)
		privileged_ok(c.allow_elevated)
		workdir_ok(c.working_dir)
		command_ok(c.command)
		mounts_ok(c)
		seccomp_ok(c.seccomp_profile_sha256)
	]
	count(possible) > 0
	env_list := first_fitting_env(possible)
	with_env := [c | some c in possible; env_ok(c.env_rules, env_list)]
	count(with_env) > 0
	caps_list := input.capabilities
	containers := [c | some c in with_env; caps_ok(c.capabilities, caps_list)]
	count(containers) > 0
	kinds := {c.allow_stdio_access | some c in containers}
	count(kinds) == 1
	some stdio in kinds
}

no_new_privileges_ok(want) if {
	want
	input.noNewPrivileges
}

no_new_privileges_ok(want) if not want

privileged_ok(_) if not input.privileged

privileged_ok(elevated) if {
	elevated
	input.privileged
}

user_ok(user) if {
	user.umask == input.umask
	id_ok(user.user_idname, input.user)
	every group in input.groups {
		some want in user.group_idnames
		id_ok(want, group)
	}
}

id_ok(want, _) if want.strategy == "any"

id_ok(want, have) if {
	want.strategy == "id"
	want.pattern == have.id
}

id_ok(want, have) if {
	want.strategy == "name"
	want.pattern == have.name
}

id_ok(want, have) if {
	want.strategy == "re2"
	regex.match(want.pattern, have.name)
}

workdir_ok(dir) if dir == input.workingDir

seccomp_ok(digest) if digest == input.seccompProfileSHA256

command_ok(command) if {
	count(command) == count(input.argList)
	every i, arg in command {
		arg == input.argList[i]
	}
}

variable_ok(rule, variable) if {
	rule.strategy == "string"
	rule.pattern == variable
}

variable_ok(rule, variable) if {
	rule.strategy == "re2"
	regex.match(rule.pattern, variable)
}

some_rule(rules, variable) if {
	some rule in rules
	variable_ok(rule, variable)
}

kept(rules) := {v | some v in input.envList; some_rule(rules, v)}

required_present(rules, env) if {
	every rule in rules {
		fulfilled(rule, env)
	}
}

fulfilled(rule, _) if not rule.required

fulfilled(rule, env) if {
	rule.required
	some variable in env
	variable_ok(rule, variable)
}

first_fitting_env(containers) := env if {
	sets := [kept(c.env_rules) | some c in containers; required_present(c.env_rules, input.envList)]
	most := max([count(s) | some s in sets])
	largest := {s | some s in sets; count(s) == most}
	count(largest) == 1
	some env in largest
}

env_ok(rules, env) if {
	required_present(rules, env)
	every variable in env {
		some_rule(rules, variable)
	}
}

caps_ok(want, have) if {
	every kind in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
		{c | some c in want[kind]} == {c | some c in have[kind]}
	}
}

mounts_ok(c) if {
	every mount in input.mounts {
		some want in array.concat(c.mounts, group.default_mounts)
		mount_ok(want, mount)
	}
}

mount_ok(want, mount) if {
	want.type == mount.type
	regex.match(source_of(want.source), mount.source)
	want.destination == mount.destination
	{o | some o in want.options} == {o | some o in mount.options}
}

source_of(text) := replace(replace(text, "sandbox://", data.metadata.sandbox_prefix), "hugepages://", data.metadata.huge_prefix) if {
	startswith(text, "sandbox://")
} else := text
