package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// forgetHistory makes etcd's newest revision its only one.
func forgetHistory(ctx context.Context, client *http.Client) error {
	// etcd's JSON interface wants bytes in base 64, which json.Marshal makes of a []byte, and numbers as text.
	var written struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	key := map[string]any{"key": []byte("elbow-e2e/history"), "value": []byte("forgotten")}
	if err := ask(ctx, client, "/v3/kv/put", key, &written); err != nil {
		return fmt.Errorf("cannot write to etcd: %w", err)
	}
	compaction := map[string]any{"revision": written.Header.Revision, "physical": true}
	if err := ask(ctx, client, "/v3/kv/compaction", compaction, &struct{}{}); err != nil {
		return fmt.Errorf("cannot have etcd forget revisions before %s: %w", written.Header.Revision, err)
	}
	return nil
}

// ask calls etcd's JSON interface.
func ask(ctx context.Context, client *http.Client, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, etcdURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answers %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
