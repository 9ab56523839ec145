// Sample-app is the workload that runs on both clusters. It answers over HTTP who it is
// (pod, node, version), and over TCP in one line, so that a client can count which pod
// served it. Standard library only: the image holds this one static binary.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// version is the release, set by the linker.
var version = "dev"

// identity is the answer to GET /. Node and Pod come from the downward API.
type identity struct {
	Pod     string         `json:"pod"`
	Node    string         `json:"node"`
	Version string         `json:"version"`
	Host    string         `json:"host"`
	Starts  map[string]int `json:"starts"`
}

// recordStart appends a line to each volume in the comma-separated list and returns
// how many starts each volume remembers: 1 where it did not outlive the last container.
func recordStart(volumes string) map[string]int {
	starts := map[string]int{}
	for _, volume := range strings.Split(volumes, ",") {
		if volume == "" {
			continue
		}
		if err := os.MkdirAll(volume, 0o755); err != nil {
			log.Printf("volume %s: %v", volume, err)
			continue
		}
		file := filepath.Join(volume, "starts")
		out, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			log.Printf("volume %s: %v", volume, err)
			continue
		}
		fmt.Fprintln(out, time.Now().UTC().Format(time.RFC3339), os.Getenv("POD_NAME"))
		out.Close()
		content, _ := os.ReadFile(file)
		starts[filepath.Base(volume)] = strings.Count(string(content), "\n")
	}
	return starts
}

// serveTCP answers each connection with one line and closes it.
func serveTCP(listener net.Listener, line string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(connection, line)
		connection.Close()
	}
}

// stop ends the container's first process as the kubelet would: `kubectl exec POD -- /sample-app stop`.
func stop() {
	if err := syscall.Kill(1, syscall.SIGTERM); err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "stop" {
		stop()
		return
	}
	self := identity{
		Pod:     os.Getenv("POD_NAME"),
		Node:    os.Getenv("NODE_NAME"),
		Version: version,
		Starts:  recordStart(os.Getenv("VOLUMES")),
	}
	handler := http.NewServeMux()
	handler.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	handler.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		answer := self
		answer.Host = r.Host
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	})

	listener, err := net.Listen("tcp", ":9000")
	if err != nil {
		log.Fatal(err)
	}
	go serveTCP(listener, self.Pod)

	server := &http.Server{Addr: ":8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	ended, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		<-ended.Done()
		deadline, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		server.Shutdown(deadline)
		listener.Close()
	}()
	log.Printf("sample-app %s on :8080 (HTTP) and :9000 (TCP)", version)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	<-ended.Done()
}
