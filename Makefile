# Targets are documented by the text after "##". `make test` is what CI runs.
GO     ?= go
TOOL    = $(GO) tool -modfile=tools/go.mod
BICEP_VERSION = 0.49.2
export CGO_ENABLED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup machine run test check build package smoke bench start deploy release publish bicep generate vulncheck clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: node_modules ## install what the tests and the local cloud need from npm

machine: ## install what the tests need from Debian or Ubuntu
	.ci/machine

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

run: build node_modules ## start everything locally, no Azure needed
	$(GO) run ./dev/cmd/run $(ARGS)

# Each package's tests would sleep a second before their end, for races of goroutines left over.
test: node_modules check ## formatting, vet, staticcheck and all tests; what CI runs
	GORACE=atexit_sleep_ms=100 $(GO) test -race -timeout 30m ./...

check: ## the checks of test that need no running service
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	@test -z "$$($(GO) fix -diff ./... 2>&1)" || { $(GO) fix -diff ./...; echo "run go fix ./..."; exit 1; }
	$(GO) mod tidy -diff
	$(TOOL) staticcheck ./...
	$(TOOL) actionlint
	@$(GO) test -v -run TestThereIsACompiler ./infra | grep 'NOT COMPILED' || true

build: ## lay out dist/ as the Functions host wants it
	$(GO) run ./internal/cmd/dist

package: build ## make dist.zip, the same bytes for the same commit
	$(GO) run ./internal/cmd/pack

smoke: build node_modules ## end to end with faults; last line is one JSON object
	$(GO) run ./dev/cmd/smoke $(ARGS)

bench: build node_modules ## measure the budgets
	$(GO) run ./dev/cmd/bench $(ARGS)

start: build ## run dist/ under Azure Functions Core Tools with local.settings.json
	cp local.settings.json dist/
	func start --script-root dist

deploy: package ## publish dist.zip to the function app named by APP, and wait until it runs
	@test -n "$(APP)" || { echo "name the function app: make deploy APP=my-bridge"; exit 1; }
	scripts/deploy.sh $(addprefix --by ,$(BY)) $(APP)

release: package ## lay out release/: package, template, scripts, checksums
	$(GO) run ./internal/cmd/release

publish: ## put release/ on GitHub as the release of the tag TAG
	@test -n "$(TAG)" || { echo "name the tag: make publish TAG=v1.2.0"; exit 1; }
	cd release && gh release create $(TAG) --verify-tag --notes-file NOTES.md SHA256SUMS *.zip *.json *.sh *.txt

bicep: ## install the Bicep compiler that releases are made with
	az bicep install --version v$(BICEP_VERSION)

generate: ## write again what is made of other files; a test compares
	$(GO) generate ./...

vulncheck: ## known vulnerabilities (needs the online database)
	$(TOOL) govulncheck ./...

clean: ## remove what make build and make run made
	rm -rf dist dist.zip release .local
