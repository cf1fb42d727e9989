package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/elbow-project/elbow/e2e/system"
)

// elsewhere is a target that another cluster has registered.
const elsewhere = "192.168.200.1"

// TestBindings fills a target group that somebody else made, and that another cluster fills as well, by a
// TargetGroupBinding that a user writes.
func TestBindings(t *testing.T) {
	s := startShop(t, system.Options{})
	client := s.Emulator.Clients().ELB
	group := sharedGroup(t, s, client)

	require.NoError(t, s.ApplyText(t.Context(), fmt.Sprintf(`
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata:
  name: shared
  namespace: app-ns
spec:
  targetGroupARN: %s
  targetType: ip
  multiClusterTargetGroup: true
  serviceRef:
    name: app-service
    port: 8080
`, group)))
	follows(t, s, client, group)
	kept, err := s.Clientset.CoreV1().ConfigMaps("app-ns").Get(t.Context(), "aws-lbc-targets-shared", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, strings.Split(kept.Data["targets"], ","), 2)
	eventually(t, "the generation to be observed", func(ctx context.Context) error {
		observed, err := s.Kubectl(ctx, "get", "targetgroupbinding", "-n", "app-ns", "shared", "-o", "jsonpath={.status.observedGeneration}")
		if err == nil && observed != "1" {
			err = fmt.Errorf("it is %q", observed)
		}
		return err
	})

	_, err = s.Kubectl(t.Context(), "scale", "-n", "app-ns", "deployment/app", "--replicas=3")
	require.NoError(t, err)
	follows(t, s, client, group)

	_, err = s.Kubectl(t.Context(), "delete", "targetgroupbinding", "-n", "app-ns", "shared", "--timeout=60s")
	require.NoError(t, err)
	eventually(t, "our targets to be gone", func(ctx context.Context) error {
		return complain(registered(ctx, client, group), []string{elsewhere})
	})
	_, err = s.Clientset.CoreV1().ConfigMaps("app-ns").Get(t.Context(), "aws-lbc-targets-shared", metav1.GetOptions{})
	require.Truef(t, apierrors.IsNotFound(err), "what was kept is still there: %v", err)
}

// sharedGroup makes a target group with a target of another cluster.
func sharedGroup(t *testing.T, s *system.System, client *elb.Client) string {
	t.Helper()
	vpcs, err := s.Emulator.Clients().EC2.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	require.NoError(t, err)
	created, err := client.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{
		Name:       aws.String("shared"),
		TargetType: elbtypes.TargetTypeEnumIp,
		Protocol:   elbtypes.ProtocolEnumHttp,
		Port:       aws.Int32(80),
		VpcId:      vpcs.Vpcs[0].VpcId,
	})
	require.NoError(t, err)
	group := aws.ToString(created.TargetGroups[0].TargetGroupArn)
	_, err = client.RegisterTargets(t.Context(), &elb.RegisterTargetsInput{
		TargetGroupArn: &group,
		Targets: []elbtypes.TargetDescription{{
			Id: aws.String(elsewhere), Port: aws.Int32(80), AvailabilityZone: aws.String("all"),
		}},
	})
	require.NoError(t, err)
	return group
}

// follows waits until the group has the pods of the backend of all tests, and the other cluster's target.
func follows(t *testing.T, s *system.System, client *elb.Client, group string) {
	t.Helper()
	eventually(t, "the targets to be the pods", func(ctx context.Context) error {
		endpoints, err := s.Clientset.DiscoveryV1().EndpointSlices("app-ns").List(ctx, metav1.ListOptions{
			LabelSelector: "kubernetes.io/service-name=app-service",
		})
		if err != nil {
			return err
		}
		deployment, err := s.Clientset.AppsV1().Deployments("app-ns").Get(ctx, "app", metav1.GetOptions{})
		if err != nil {
			return err
		}
		wanted := []string{elsewhere}
		for _, slice := range endpoints.Items {
			for _, endpoint := range slice.Endpoints {
				if aws.ToBool(endpoint.Conditions.Ready) {
					wanted = append(wanted, endpoint.Addresses...)
				}
			}
		}
		if len(wanted) != int(*deployment.Spec.Replicas)+1 {
			return fmt.Errorf("%d pods are ready", len(wanted)-1)
		}
		return complain(registered(ctx, client, group), wanted)
	})
}

// registered are the addresses in a group that are not about to leave it.
func registered(ctx context.Context, client *elb.Client, group string) []string {
	health, err := client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &group})
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, target := range health.TargetHealthDescriptions {
		if target.TargetHealth.State != elbtypes.TargetHealthStateEnumDraining {
			found = append(found, aws.ToString(target.Target.Id))
		}
	}
	return found
}

// complain compares two lists of addresses, whatever their order.
func complain(found, wanted []string) error {
	slices.Sort(found)
	slices.Sort(wanted)
	if slices.Equal(found, wanted) {
		return nil
	}
	return fmt.Errorf("registered are %v, not %v", found, wanted)
}
