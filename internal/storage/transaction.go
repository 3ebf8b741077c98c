package storage

import (
	"errors"
	"io"
	"regexp"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

var (
	stepStatus = regexp.MustCompile(`(?m)^HTTP/1\.1 ([45]\d\d) `)
	stepCode   = regexp.MustCompile(`"code"\s*:\s*"(\w+)"`)
)

// stepError puts the code of the refused step into a transaction's error. The
// service answers 202 with the step's own answer in a multipart body, and the SDK
// (aztables 1.4) reports the 202 with an empty code.
func stepError(err error) error {
	response, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok || response.ErrorCode != "" || response.RawResponse == nil {
		return err
	}
	// The SDK keeps the whole body in memory, so it can be read again.
	body, readErr := io.ReadAll(response.RawResponse.Body)
	status, code := stepStatus.FindSubmatch(body), stepCode.FindSubmatch(body)
	if readErr != nil || status == nil || code == nil {
		return err
	}
	step := *response
	step.StatusCode, _ = strconv.Atoi(string(status[1]))
	step.ErrorCode = string(code[1])
	return &step
}
