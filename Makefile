# The few commands of INTERFACES.md; Meson does the work.
BUILD ?= build
RELEASE ?= build-release
PREFIX ?= /usr
DESTDIR ?=
STRIP ?= --strip
FUZZ_SECONDS ?= 60
MINUTES ?= 60
JOBS ?= $(shell nproc)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@tools/setup build
	@meson setup $(BUILD) >$(BUILD).log || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

demo: all $(BUILD)/demo-pki/anchors
	@tools/demo $(BUILD)

# The same as a test: no colours, and nothing may differ from what is expected.
demo-check: all $(BUILD)/demo-pki/anchors
	@tools/demo $(BUILD) --check

$(BUILD)/demo-pki/anchors: | all
	@rm -rf $(BUILD)/demo-pki
	@$(BUILD)/programs/virtual-tee pki $(BUILD)/demo-pki >/dev/null

check: all
	@tools/run-tests check $(BUILD)

test:
	@tools/setup test
	@tools/run-tests test $(BUILD)

test-long:
	@tools/setup test
	@tools/run-tests long $(BUILD)

# A server with TLS at half load: nothing grows, nothing fails.
soak: all
	@CLAVIGER_BUILD=$(abspath $(BUILD)) CLAVIGER_SOURCE=$(CURDIR) MINUTES=$(MINUTES) $(BUILD)/tests/integration/soak

# Without tests and without the path of the build folder in the programs.
release:
	@tools/setup build
	@tools/build-release $(RELEASE) "$(PREFIX)" $(JOBS)

install: release
	@DESTDIR="$(DESTDIR)" meson install -C $(RELEASE) --no-rebuild --quiet $(STRIP)

bench: all
	@tools/bench $(BUILD)

# Beside OPA and regorus, where their toolchains are.
bench-rego: all
	@tools/rego-bench/run $(BUILD)

bench-%: all
	@tools/bench $(BUILD) $*

asan ubsan tsan:
	@tools/setup test
	@tools/sanitize $@ $(JOBS)

fuzz:
	@tools/setup test
	@tools/fuzz $(FUZZ_SECONDS) $(JOBS)

clean:
	rm -rf $(BUILD) build-*

.PHONY: all demo demo-check check test test-long soak release install bench bench-rego asan ubsan tsan fuzz clean
