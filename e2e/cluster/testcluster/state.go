package testcluster

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
)

// stateVariable names the file with the [State] of the cluster that a process runs in.
const stateVariable = "ELBOW_E2E_STATE"

// State is what programs that run in a cluster have to know about it. It is a file of JSON, whose name
// is in the environment as ELBOW_E2E_STATE.
type State struct {
	// Kubeconfig is a file for clients that may do everything. Also in the environment as KUBECONFIG.
	Kubeconfig string `json:"kubeconfig"`
	// APIServer is the URL of the API.
	APIServer string `json:"apiServer"`
	// Address is where pods, and the API server for its webhooks, reach programs that run beside the cluster.
	Address netip.Addr `json:"address"`
	// AuditLog is the API server's audit log: a line of JSON for each request that was answered, but
	// for those of the cluster's own parts.
	AuditLog string `json:"auditLog"`
	// Logs is a folder with the logs of the servers and, below pods/, of containers. It is kept.
	Logs string `json:"logs"`
	// Folder is for files that may go with the cluster.
	Folder string `json:"folder"`
	// Programs is the folder of the programs that the cluster is made of, kubectl among them.
	Programs string `json:"programs"`
	// World is a file with the description of the VPC, for the emulator.
	World string `json:"world"`
	// Resolver is the DNS server that all programs inside ask.
	Resolver netip.AddrPort `json:"resolver"`
	// BalancerResolver is where Resolver asks for names that are not the cluster's. Whoever knows the
	// names of load balancers has to listen there.
	BalancerResolver netip.AddrPort `json:"balancerResolver"`
	// BalancerRanges are addresses on which any program inside can listen, and which every pod reaches.
	BalancerRanges []netip.Prefix `json:"balancerRanges"`
	// Control is the socket by which the cluster is disturbed; see the methods of [Cluster].
	Control string `json:"control"`
}

// write makes the file.
func (s *State) write(file string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write down where the cluster is: %w", err)
	}
	return nil
}

// readState reads the file.
func readState(file string) (*State, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read where the cluster is; does %s name a cluster that has ended? %w", stateVariable, err)
	}
	state := new(State)
	if err := json.Unmarshal(text, state); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return state, nil
}
