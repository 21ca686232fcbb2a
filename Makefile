# make builds bin/bonsai, make start runs it, make test proves it. "make help" lists the rest.
#
# If a C compiler or libseccomp is missing, it is installed where that needs no password; elsewhere the command is printed.

.DEFAULT_GOAL := build
SHELL := /bin/sh
.DELETE_ON_ERROR:
# Compilers and tests use all processors themselves.
.NOTPARALLEL:

# One set of flags for everything, so that each package is compiled once. cgo is enabled only for runc, which
# needs libseccomp, and for the race detector. -buildvcs=false: tools/ldflags.sh sets the version, and a commit of
# documentation must not link again.
export CGO_ENABLED := 0
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -trimpath -buildvcs=false)

NODES ?= 3
embedded := bootstrap/payload/embedded
parts := rootfs.tar.zst rootfs.json agent.tar.zst agent.json guardian.zst

.PHONY: build
build: payload ## build bin/bonsai with the node payload embedded
	@mkdir -p bin
	go build -ldflags "$$(tools/ldflags.sh)" -o bin/bonsai ./cmd/bonsai

.PHONY: start
start: build ## build if needed and start a cluster (NODES=3, ARGS="more flags of bonsai start")
	bin/bonsai start --nodes $(NODES) $(ARGS)

.PHONY: payload
payload: build/rootfs.json build/agent.json ## build what nodes run, if its inputs changed
	@for f in $(parts); do cmp -s build/$$f $(embedded)/$$f || cp build/$$f $(embedded)/$$f; done

# The program checks more precisely: other modules in go.mod do not matter here.
build/rootfs.json: go.mod go.sum $(wildcard bootstrap/payload/builder/*.go)
	@tools/need.sh go
	@if command -v apt-get >/dev/null; then \
		tools/need.sh payload && go run ./bootstrap/payload/builder rootfs; \
	else \
		$(in_container); \
	fi
	@touch $@

# Without Debian's tools the same step runs in a container, as the same user in the end.
in_container = echo "no apt-get here: building the payload in a container" && \
	docker run --rm --security-opt label=disable -v "$(CURDIR)":/src -v "$$(go env GOMODCACHE)":/go/pkg/mod -w /src \
		golang:$(shell go env GOVERSION | sed 's/^go//') \
		sh -c 'make build/rootfs.json && chown -R $(shell id -u):$(shell id -g) build'

.PHONY: build/agent.json
build/agent.json: # the Go compiler decides whether anything changed
	@tools/need.sh go
	@go run ./bootstrap/payload/builder agent

# Each with how long it takes on two cores: with empty caches of Go and of the linters, and again.
groups = "lint=cold 10 min, warm 2 min" "test-light=cold 6 min, warm 1 min" "fuzz=3 min" \
	"test-coredns=cold 3 min, warm 1 min" "test-heavy=cold 10 min, warm 3 min" "test-e2e=12 min"

.PHONY: test
test: ## lint, then all tests, all of them even if some fail; needs a Docker engine
	@MAKE="$(MAKE)" tools/groups.sh $(groups)

.PHONY: test-light
test-light: ## tests that link no Kubernetes, with the race detector
	@tools/need.sh go race
	CGO_ENABLED=1 go test -race $$(tools/packages.sh light)
	cd test/conformance && CGO_ENABLED=1 go test -race ./...
	cd test/conformance/gateway && go test ./...
	cd bootstrap/bonsaitest && CGO_ENABLED=1 go test -race ./...
	cd test/conformance/clusternetworkpolicy && go test ./...

# Untrusted input goes through the first two and those of the gateway: a minute for each. FUZZTIME=1h for a longer look.
FUZZTIME ?= 60s
fuzz = go test -run '^$$' -fuzztime $(1) -fuzz '^$(2)$$' ./$(3)

.PHONY: fuzz
fuzz: ## look for input that breaks parsers (DNS, gateway, cluster files, lessons) or commands that people copy (FUZZTIME=60s)
	@tools/need.sh go
	$(call fuzz,$(FUZZTIME),FuzzParse,dnsaddon/wire)
	$(call fuzz,$(FUZZTIME),FuzzLookup,dnsaddon/zone)
	$(call fuzz,10s,FuzzParse,cmd/bonsai/internal/learn)
	$(call fuzz,10s,FuzzParse,cmd/bonsai/internal/learn/condition)
	$(call fuzz,10s,FuzzServe,dnsaddon/server)
	$(call fuzz,10s,FuzzAnswer,dnsaddon/forward/cache)
	$(call fuzz,10s,FuzzParseReply,dnsaddon/forward)
	$(call fuzz,10s,FuzzParse,dnsaddon/corefile)
	$(call fuzz,10s,FuzzQuestion,dnsaddon/host)
	$(call fuzz,10s,FuzzFiles,bootstrap/hostdns)
	$(call fuzz,$(FUZZTIME),FuzzSimpleRequest,nodeagent/gateway/proxy)
	$(call fuzz,$(FUZZTIME),FuzzSimpleAnswer,nodeagent/gateway/proxy)
	$(call fuzz,10s,FuzzGatewayRequest,bootstrap/cluster)
	$(call fuzz,20s,FuzzParse,bootstrap/clusterfile)
	$(call fuzz,10s,FuzzDecode,bootstrap/checkpoint)
	$(call fuzz,5000x,FuzzExtract,bootstrap/bundle)
	$(call fuzz,10s,FuzzServe,dnsaddon/rules)
	$(call fuzz,2000x,FuzzCommandIsOneLineOfItsArguments,bootstrap/cluster)
	$(call fuzz,300x,FuzzAdviceIsWhatItLooksLike,controlplane/observe/problems/diagnose)

# CoreDNS lives in a module of its own, so that it does not influence the versions that bonsai links.
.PHONY: test-coredns
test-coredns: ## compare the DNS server's replies with those of CoreDNS (ARGS="-v -seed 7 -questions 1000000")
	@tools/need.sh go
	cd test/coredns && go test ./bench ./internal/... && go test . $(ARGS)

.PHONY: test-heavy
test-heavy: build ## tests that link Kubernetes
	go test -ldflags "$$(tools/ldflags.sh)" -timeout 15m $$(tools/packages.sh heavy)

.PHONY: test-learn
test-learn: build ## every lesson, fault and usual mistake of "bonsai learn" on a real cluster
	BONSAI_LEARN=all go test -count=1 -v -run TestSchool -timeout 30m ./cmd/bonsai/internal/learn/e2e

.PHONY: test-e2e
test-e2e: build ## tests that start clusters; they need a Docker engine
	@tools/need.sh tmux
	@tools/need.sh browser || echo "the test of the browser will be skipped" >&2
	go test -count=1 -p 1 -parallel 2 -timeout 45m ./test/... $$(go list ./... | grep '/internal/.*/e2e$$')

# Settings are variables: SUITE, FOCUS, SKIP, PROCS, FRESH, KEEP, KUBERNETES, VM, START_ARGS, EXTRA; docs/conformance.md explains them.
.PHONY: conformance
conformance: build ## run upstream's conformance tests (an hour; SUITE=dns FOCUS='Secrets' KUBERNETES=1.36 VM=trixie; see docs/conformance.md)
	@tools/need.sh go conformance $(if $(VM),vm)
	@test/conformance/run.sh

.PHONY: conformance-quick conformance-node conformance-dns
conformance-quick: ## 60 of them, some of every SIG, in 8 minutes
conformance-node: ## upstream's tests of nodes, [NodeConformance]
conformance-dns: ## upstream's tests of cluster DNS
conformance-quick conformance-node conformance-dns:
	@$(MAKE) --no-print-directory conformance SUITE=$(@:conformance-%=%)

.PHONY: conformance-defaults
conformance-defaults: build ## compare what is on by default with a control plane of kubeadm (KUBERNETES=1.36)
	@tools/need.sh go
	@test/conformance/defaults.sh

# Settings are variables: FOCUS, KEEP, START_ARGS.
.PHONY: conformance-gateway
conformance-gateway: build ## run upstream's conformance tests of Gateway API (FOCUS=HTTPRouteWeight; see docs/conformance.md)
	@tools/need.sh go
	@test/conformance/gateway/run.sh

# Settings are variables: FOCUS, KEEP.
.PHONY: controller-runtime
controller-runtime: build ## run controller-runtime's own suites on API servers of bonsai (ARGS="client cache"; see docs/testing.md)
	@tools/need.sh go
	@test/controllerruntime/run.sh $(ARGS)
# Settings are variables: FOCUS, KEEP, START_ARGS.
.PHONY: conformance-clusternetworkpolicy
conformance-clusternetworkpolicy: build ## run upstream's conformance tests of ClusterNetworkPolicy (FOCUS=Baseline; see docs/conformance.md)
	@tools/need.sh go
	@test/conformance/clusternetworkpolicy/run.sh

.PHONY: test-long
test-long: ## make test, the quick conformance tests, and the comparison with kubeadm
	@MAKE="$(MAKE)" tools/groups.sh $(groups) "conformance-quick=cold 30 min, warm 8 min" "conformance-defaults=cold 8 min, warm 1 min"

.PHONY: test-vm
test-vm: build ## prove bin/bonsai in Debian 13 and 12 machines (emulated: about ten minutes), as an unprivileged user
	@tools/need.sh vm
	test/vm/run.sh trixie
	test/vm/run.sh bookworm

.PHONY: field
field: build ## try what users of similar tools reported, a line for each report (ARGS=-l lists them; ARGS="proxy prune")
	@tools/need.sh field
	test/field/run.sh $(ARGS)

.PHONY: picture
picture: build ## record the picture of the terminal UI that the README shows, from a real cluster
	@tools/need.sh tmux
	BONSAI_PICTURE=$(CURDIR)/docs/ui.svg go test -count=1 -run TestTerminalUI -timeout 15m ./test/e2e

.PHONY: bench
bench: build ## measure start, stop, memory and idle CPU, on a quiet machine
	@tools/need.sh wrk || true
	go run ./test/bench $(ARGS)

.PHONY: bench-dns
bench-dns: build ## measure the DNS server beside CoreDNS, on a quiet machine (ARGS=-full for longer runs)
	@tools/need.sh dnsperf
	cd test/coredns && go run ./bench $(ARGS)

.PHONY: bench-proxies
bench-proxies: ## compare the data plane of the gateway with Caddy on loopback, on a quiet machine
	@tools/need.sh go wrk
	test/bench/proxies/run.sh $(ARGS)

.PHONY: bench-tui
bench-tui: ## measure the terminal UI: keys, changes, idle, memory; on a quiet machine
	@tools/need.sh go
	go test -run '^$$' -bench Figures -benchtime 1x ./tui
	go test -run '^$$' -bench . ./tui/... -skip Figures

# The linters have a go.mod of their own, so that they do not influence the versions that bonsai links.
golangci = go tool -modfile=$(CURDIR)/tools/lint.mod golangci-lint run
# These analyse dependencies as well, which for Kubernetes takes minutes and 7 GB.
deep := staticcheck,govet,bodyclose,unparam,modernize

.PHONY: lint
lint: ## check style, wording, likely mistakes and who may import whom
	tools/wording.sh
	@tools/need.sh go
	$(golangci) ./...
	$(golangci) --enable-only $(deep) $$(go list -f '{{.Dir}}' $$(tools/packages.sh all-light))
	cd test/coredns && $(golangci) ./... && $(golangci) --enable-only $(deep) ./...
	cd test/conformance && $(golangci) ./... && $(golangci) --enable-only $(deep) ./...
	cd test/conformance/gateway && $(golangci) ./... && $(golangci) --enable-only $(deep) ./...
	cd bootstrap/bonsaitest && $(golangci) ./... && $(golangci) --enable-only $(deep) ./...
	cd test/conformance/clusternetworkpolicy && $(golangci) ./... && $(golangci) --enable-only $(deep) ./...
	go vet $$(tools/packages.sh all-heavy)
	GOOS=linux GOARCH=arm64 go vet $$(tools/packages.sh all-light)
	GOOS=darwin GOARCH=arm64 go vet ./bootstrap/... ./cmd/bonsai/internal/cli ./cmd/bonsai/internal/session ./controlplane/config ./controlplane/tunnel
	@tools/vuln.sh

.PHONY: clean
clean: ## remove everything that make created here (clusters stay: bonsai delete --all)
	rm -rf bin build $(addprefix $(embedded)/,$(parts))

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile
