package system

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/elbow-project/elbow/e2e/cluster/vpc"
)

// userAgent marks the calls that tests make, which are none of the controller's.
const userAgent = "elbow-e2e"

// Inventory is what stands in AWS that a controller has made, as a client that is not elbow's sees it.
type Inventory struct {
	LoadBalancers  []string
	Listeners      []string
	TargetGroups   []string
	SecurityGroups []string
	Certificates   []string
	TrustStores    []string
}

// Empty tells whether nothing is there.
func (i Inventory) Empty() bool {
	return len(i.LoadBalancers)+len(i.Listeners)+len(i.TargetGroups)+len(i.SecurityGroups)+len(i.Certificates)+len(i.TrustStores) == 0
}

func (i Inventory) String() string {
	var parts []string
	for _, part := range []struct {
		what  string
		names []string
	}{
		{"load balancers", i.LoadBalancers},
		{"listeners", i.Listeners},
		{"target groups", i.TargetGroups},
		{"security groups", i.SecurityGroups},
		{"certificates", i.Certificates},
		{"trust stores", i.TrustStores},
	} {
		if len(part.names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(part.names), part.what, strings.Join(part.names, ", ")))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

// Clients are the official clients of another language than elbow's.
type Clients struct {
	ELB *elb.Client
	EC2 *ec2.Client
	ACM *acm.Client
}

// Clients of the emulator's account.
func (e *Emulator) Clients() Clients {
	config := aws.Config{
		Region:       e.Region,
		BaseEndpoint: aws.String(e.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		AppID:        userAgent,
	}
	return Clients{ELB: elb.NewFromConfig(config), EC2: ec2.NewFromConfig(config), ACM: acm.NewFromConfig(config)}
}

// Inventory looks at all that is there.
func (e *Emulator) Inventory(ctx context.Context) (Inventory, error) {
	var found Inventory
	clients := e.Clients()
	balancers := elb.NewDescribeLoadBalancersPaginator(clients.ELB, &elb.DescribeLoadBalancersInput{})
	for balancers.HasMorePages() {
		page, err := balancers.NextPage(ctx)
		if err != nil {
			return found, fmt.Errorf("cannot list load balancers: %w", err)
		}
		for _, balancer := range page.LoadBalancers {
			found.LoadBalancers = append(found.LoadBalancers, *balancer.LoadBalancerName)
			listeners, err := clients.ELB.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: balancer.LoadBalancerArn})
			if err != nil {
				return found, fmt.Errorf("cannot list listeners: %w", err)
			}
			for _, listener := range listeners.Listeners {
				found.Listeners = append(found.Listeners, fmt.Sprintf("%s:%d", *balancer.LoadBalancerName, *listener.Port))
			}
		}
	}
	groups := elb.NewDescribeTargetGroupsPaginator(clients.ELB, &elb.DescribeTargetGroupsInput{})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return found, fmt.Errorf("cannot list target groups: %w", err)
		}
		for _, group := range page.TargetGroups {
			found.TargetGroups = append(found.TargetGroups, *group.TargetGroupName)
		}
	}
	tagged := &ec2.DescribeSecurityGroupsInput{Filters: []ec2types.Filter{
		{Name: aws.String("tag:elbv2.k8s.aws/cluster"), Values: []string{vpc.ClusterName}},
	}}
	secure, err := clients.EC2.DescribeSecurityGroups(ctx, tagged)
	if err != nil {
		return found, fmt.Errorf("cannot list security groups: %w", err)
	}
	for _, group := range secure.SecurityGroups {
		found.SecurityGroups = append(found.SecurityGroups, *group.GroupName)
	}
	certificates, err := clients.ACM.ListCertificates(ctx, &acm.ListCertificatesInput{})
	if err != nil {
		return found, fmt.Errorf("cannot list certificates: %w", err)
	}
	for _, certificate := range certificates.CertificateSummaryList {
		if *certificate.CertificateArn != e.Certificate {
			found.Certificates = append(found.Certificates, *certificate.CertificateArn)
		}
	}
	stores, err := clients.ELB.DescribeTrustStores(ctx, &elb.DescribeTrustStoresInput{})
	if err != nil {
		return found, fmt.Errorf("cannot list trust stores: %w", err)
	}
	for _, store := range stores.TrustStores {
		found.TrustStores = append(found.TrustStores, *store.Name)
	}
	for _, names := range [][]string{found.LoadBalancers, found.Listeners, found.TargetGroups, found.SecurityGroups} {
		slices.Sort(names)
	}
	return found, nil
}

// HealthyTargets are the numbers of targets that are healthy, by the names of their target groups.
func (e *Emulator) HealthyTargets(ctx context.Context) (map[string]int, error) {
	found := map[string]int{}
	client := e.Clients().ELB
	groups := elb.NewDescribeTargetGroupsPaginator(client, &elb.DescribeTargetGroupsInput{})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("cannot list target groups: %w", err)
		}
		for _, group := range page.TargetGroups {
			health, err := client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: group.TargetGroupArn})
			if err != nil {
				return nil, fmt.Errorf("cannot look at the targets of %s: %w", *group.TargetGroupName, err)
			}
			healthy := 0
			for _, target := range health.TargetHealthDescriptions {
				if target.TargetHealth.State == elbtypes.TargetHealthStateEnumHealthy {
					healthy++
				}
			}
			found[*group.TargetGroupName] = healthy
		}
	}
	return found, nil
}

// BecomesEmpty waits until nothing is left in AWS.
func (e *Emulator) BecomesEmpty(ctx context.Context, timeout time.Duration) error {
	return Eventually(ctx, timeout, func(ctx context.Context) error {
		found, err := e.Inventory(ctx)
		if err == nil && !found.Empty() {
			err = fmt.Errorf("AWS still has %v", found)
		}
		return err
	})
}
