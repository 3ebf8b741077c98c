package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Names of a span's attributes, which are fields of its line.
const (
	systemKey     = attribute.Key("system")
	statusKey     = attribute.Key("status")
	errorKey      = attribute.Key("error")
	functionKey   = attribute.Key("function")
	invocationKey = attribute.Key("invocation")
)

// Request begins a span of one request to another system, as a child of ctx's. The
// request carries the context returned; end takes its HTTP status, 0 without an
// answer, and the error. Outside of a traced call nothing is measured.
func Request(ctx context.Context, system, route string) (_ context.Context, end func(status int, err error)) {
	tracer := trace.SpanFromContext(ctx).TracerProvider().Tracer(tracerName)
	ctx, span := tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(systemKey.String(system)))
	return ctx, func(status int, err error) {
		defer span.End()
		span.SetAttributes(statusKey.Int(status))
		class := classOf(err)
		if err == nil && unexpected(system, status) {
			class = "answer"
		}
		if class == "" {
			return
		}
		span.SetAttributes(errorKey.String(class))
		if class != "cancelled" { // somebody went away: nobody's fault
			span.SetStatus(codes.Error, "")
		}
	}
}

// Propagate puts ctx's span into a request's header, per W3C Trace Context.
func Propagate(ctx context.Context, header http.Header) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(header))
}

// unexpected reports whether nobody counts on a status. Rows that are not there,
// writes that lost a race and sessions that have ended are everyday answers, and
// Key Vault says where to sign in with a 401.
func unexpected(system string, status int) bool {
	if system == "ucserver" {
		return status >= http.StatusMultipleChoices
	}
	switch status {
	case http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed:
		return false
	case http.StatusUnauthorized:
		return system != "keyvault"
	}
	return status >= http.StatusBadRequest
}

// classOf says what kind of fault err is. The error's own text may hold addresses.
func classOf(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return "cancelled"
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "dns"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if isTLS(err) {
		return "tls"
	}
	return "network"
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return certificate || authority || header || alert
}

// Route names a request by its method and path, with {} for every segment that is
// not one of words: ids, names, keys of rows.
func Route(method, path string, words map[string]bool) string {
	var route strings.Builder
	route.WriteString(method + " ")
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if !words[segment] {
			segment = "{}"
		}
		route.WriteString("/" + segment)
	}
	return route.String()
}

// Words is a set of path segments that [Route] shows.
func Words(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, word := range words {
		set[word] = true
	}
	return set
}
