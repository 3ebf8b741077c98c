package azurite

import (
	"bytes"
	"net/http"
	"strings"
)

// kindOf names a request, see [Wire]. Paths begin with the account.
func kindOf(service string, r *http.Request) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	operation := "other"
	switch service {
	case "table":
		operation = tableOperation(r, path)
	case "queue":
		operation = queueOperation(r, path)
	case "blob":
		operation = blobOperation(r, path)
	}
	return service + "." + operation
}

func tableOperation(r *http.Request, path string) string {
	method := r.Method
	if tunnelled := r.Header.Get("X-HTTP-Method"); tunnelled != "" {
		method = tunnelled
	}
	switch {
	case path == "$batch":
		return "transaction"
	case path == "Tables" && method == http.MethodPost:
		return "create-table"
	case path == "Tables":
		return "list-tables"
	case strings.HasPrefix(path, "Tables("):
		return "delete-table"
	case method == http.MethodGet && strings.Contains(path, "PartitionKey="):
		return "get"
	case method == http.MethodGet:
		return "query"
	}
	return change(method)
}

// change names what a method does to an entity.
func change(method string) string {
	switch method {
	case http.MethodPost:
		return "insert"
	case "MERGE", http.MethodPatch:
		return "merge"
	case http.MethodPut:
		return "replace"
	case http.MethodDelete:
		return "delete"
	case http.MethodGet:
		return "get"
	}
	return "other"
}

// changes names the parts of a table transaction's body, in order.
func changes(body []byte) []string {
	var found []string
	for line := range bytes.Lines(body) {
		method, rest, ok := bytes.Cut(line, []byte(" http"))
		if ok && bytes.Contains(rest, []byte(" HTTP/1.1")) {
			found = append(found, change(string(method)))
		}
	}
	return found
}

// rows names the row keys of the changes in a table transaction's body, in order:
// in the address of a change, or in the entity of an insert.
func rows(body []byte) []string {
	var found []string
	for len(body) > 0 {
		address, entity := bytes.Index(body, []byte("RowKey='")), bytes.Index(body, []byte(`"RowKey":"`))
		at, mark, end := address, len("RowKey='"), byte('\'')
		if address < 0 || entity >= 0 && entity < address {
			at, mark, end = entity, len(`"RowKey":"`), '"'
		}
		if at < 0 {
			return found
		}
		body = body[at+mark:]
		length := bytes.IndexByte(body, end)
		if length < 0 {
			return found
		}
		// A merge or replace names its row in both places.
		if key := string(body[:length]); len(found) == 0 || found[len(found)-1] != key {
			found = append(found, key)
		}
		body = body[length:]
	}
	return found
}

func queueOperation(r *http.Request, path string) string {
	_, rest, inside := strings.Cut(path, "/")
	query := r.URL.Query()
	switch {
	case path == "":
		return "list-queues"
	case !inside && r.Method == http.MethodPut && !query.Has("comp"):
		return "create-queue"
	case !inside && r.Method == http.MethodDelete:
		return "delete-queue"
	case !inside:
		return "properties"
	case rest == "messages" && r.Method == http.MethodPost:
		return "enqueue"
	case rest == "messages" && r.Method == http.MethodGet && query.Get("peekonly") == "true":
		return "peek"
	case rest == "messages" && r.Method == http.MethodGet:
		return "dequeue"
	case rest == "messages" && r.Method == http.MethodDelete:
		return "clear"
	case r.Method == http.MethodPut:
		return "update"
	case r.Method == http.MethodDelete:
		return "delete"
	}
	return "other"
}

func blobOperation(r *http.Request, path string) string {
	query := r.URL.Query()
	container := query.Get("restype") == "container"
	comp := query.Get("comp")
	switch {
	case comp == "list":
		return "list"
	case container && r.Method == http.MethodPut && comp == "":
		return "create-container"
	case container && r.Method == http.MethodDelete:
		return "delete-container"
	case container:
		return "container"
	case path == "":
		return "other"
	case comp == "lease":
		return "lease"
	case comp == "block":
		return "put-block"
	case r.Method == http.MethodPut && (comp == "" || comp == "blocklist"):
		return "put"
	case r.Method == http.MethodGet:
		return "get"
	case r.Method == http.MethodHead:
		return "head"
	case r.Method == http.MethodDelete:
		return "delete"
	}
	return "other"
}
