// What plays the AWS Load Balancer Controller in the lab: it makes an application load balancer of each Ingress of its
// class, as the real one does, with the same flags, tags, finalizer, webhook paths and metadata. It knows the part that
// the project's stacks use, and says so of all else. The real one cannot be built here: its release 2 is no Go module
// that a proxy serves.
package main

import (
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	networking "k8s.io/api/networking/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// Where the real one has them (https://github.com/kubernetes-sigs/aws-load-balancer-controller, its chart's values).
const (
	health       = ":61779"
	metrics      = ":8080"
	port         = 9443
	certificates = "/tmp/k8s-webhook-server/serving-certs"
	leader       = "aws-load-balancer-controller-leader"
)

func main() {
	cluster := flag.String("cluster-name", "", "value of the tag "+tagCluster)
	region := flag.String("aws-region", "", "region of the load balancers")
	vpc := flag.String("aws-vpc-id", "", "VPC of the load balancers")
	tags := Tags{}
	flag.Var(tags, "default-tags", "tags of all that is made, as key=value,key=value")
	ctrl.SetLogger(klog.NewKlogr()) // after klog's own flags, of which it takes none
	flag.Parse()
	if err := run(ctrl.SetupSignalHandler(), *cluster, *region, *vpc, tags); err != nil {
		ctrl.Log.Error(err, "it ends")
		os.Exit(1)
	}
}

func run(ctx context.Context, cluster, region, vpc string, tags Tags) error {
	if cluster == "" || region == "" || vpc == "" {
		return errors.New("--cluster-name, --aws-region and --aws-vpc-id are needed")
	}
	at, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return err
	}
	api, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	options := ctrl.Options{
		HealthProbeBindAddress:        health,
		LeaderElection:                true,
		LeaderElectionID:              leader,
		LeaderElectionReleaseOnCancel: true,
		WebhookServer:                 webhook.NewServer(webhook.Options{Port: port, CertDir: certificates}),
	}
	options.Metrics.BindAddress = metrics
	manager, err := ctrl.NewManager(api, options)
	if err != nil {
		return err
	}
	server := manager.GetWebhookServer()
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("webhook", server.StartedChecker()); err != nil {
		return err
	}
	balancers := &Balancers{
		elb: elb.NewFromConfig(at), ec2: ec2.NewFromConfig(at), cluster: cluster, vpc: vpc, defaults: tags,
	}
	// The real one is ready without it. Its webhook asks the API, so before it can, it would refuse Ingresses for good.
	reader := manager.GetAPIReader()
	var reached atomic.Bool
	classes := func(r *http.Request) error {
		if reached.Load() {
			return nil
		}
		err := reader.List(r.Context(), &networking.IngressClassList{}, client.Limit(1))
		reached.Store(err == nil)
		return err
	}
	if err := manager.AddReadyzCheck("api", classes); err != nil {
		return err
	}
	controller := &Controller{
		Client: manager.GetClient(), events: manager.GetEventRecorder("ingress"), balancers: balancers,
	}
	if err := controller.watch(manager); err != nil {
		return err
	}
	register(server, reader)
	return manager.Start(ctx)
}
