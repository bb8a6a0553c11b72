// SPDX-License-Identifier: Apache-2.0

// Kubelet is the mini-cluster's node: it takes every pod of a real API server for itself (it is the
// scheduler too), runs the pods' programs in network namespaces, and reports what they do. It runs
// no images: a table names the program that stands for each. What a pod asks for and this kubelet
// does not have is said in the pod's status, never left out in silence.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type kubelet struct {
	client  kubernetes.Interface
	images  imageTable
	net     *network
	node    string
	address string
	dir     string

	mu      sync.Mutex
	workers map[types.UID]*worker
	running sync.WaitGroup
}

type options struct {
	kubeconfig, images, programs, dir           string
	node, address, region                       string
	cert, key, ca, client                       string
	netNode, netBridge, netPrefix, pods4, pods6 string
	port                                        int
}

func parse() *options {
	o := &options{}
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flag.StringVar(&o.images, "images", "", "table of images (JSON)")
	flag.StringVar(&o.programs, "programs", "", "folder with the programs")
	flag.StringVar(&o.dir, "dir", "", "folder for volumes and logs; emptied at start")
	flag.StringVar(&o.node, "node", "node", "the node's name")
	flag.StringVar(&o.region, "region", "", "the node's topology.kubernetes.io/region")
	flag.StringVar(&o.address, "address", "127.0.0.1", "where to serve logs")
	flag.IntVar(&o.port, "port", 10250, "where to serve logs")
	flag.StringVar(&o.cert, "tls-cert", "", "certificate for that")
	flag.StringVar(&o.key, "tls-key", "", "its key")
	flag.StringVar(&o.ca, "client-ca", "", "authority of those who may read logs")
	flag.StringVar(&o.client, "client-name", "", "common name of the one who may")
	flag.StringVar(&o.netNode, "net-node", "", "network namespace with the pods' bridge")
	flag.StringVar(&o.netBridge, "net-bridge", "pods", "the bridge")
	flag.StringVar(&o.netPrefix, "net-prefix", "", "of the names of pods' namespaces")
	flag.StringVar(&o.pods4, "net-pods4", "", "the pods' IPv4 prefix, a /20; .1 is the router")
	flag.StringVar(&o.pods6, "net-pods6", "", "the pods' IPv6 prefix; ::1 is the router")
	flag.Parse()
	return o
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "shim" {
		shim(os.Args[2])
	}
	o := parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

func open(o *options) (*kubelet, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	images, err := loadImages(o.images, o.programs)
	if err != nil {
		return nil, err
	}
	pods4, err := netip.ParsePrefix(o.pods4)
	if err != nil {
		return nil, err
	}
	pods6, err := netip.ParsePrefix(o.pods6)
	if err != nil {
		return nil, err
	}
	os.RemoveAll(o.dir)
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	return &kubelet{
		client: client, images: images, node: o.node, address: o.address, dir: o.dir,
		net: &network{node: o.netNode, bridge: o.netBridge, prefix: o.netPrefix, pods4: pods4,
			pods6: pods6, used: map[int]bool{}},
		workers: map[types.UID]*worker{},
	}, nil
}

func run(ctx context.Context, o *options) error {
	k, err := open(o)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		failed <- k.serve(fmt.Sprintf("%s:%d", o.address, o.port), o.cert, o.key, o.ca, o.client)
	}()
	for err := k.register(ctx, o); err != nil; err = k.register(ctx, o) {
		log.Printf("node: %v", err)
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-time.After(retryTime):
		}
	}
	factory := informers.NewSharedInformerFactory(k.client, 0)
	pods := factory.Core().V1().Pods().Informer()
	_, err = pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.upsert(ctx, object.(*v1.Pod)) },
		UpdateFunc: func(_, object any) { k.upsert(ctx, object.(*v1.Pod)) },
		DeleteFunc: k.remove,
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	k.running.Wait()
	return err
}

// register makes the node, or takes the one that is there.
func (k *kubelet) register(ctx context.Context, o *options) error {
	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, &v1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: k.node,
			Labels: map[string]string{
				v1.LabelHostname: k.node, v1.LabelOSStable: "linux",
				v1.LabelTopologyRegion: o.region, v1.LabelTopologyZone: o.region + "-a",
			},
		}}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	now := metav1.Now()
	node.Status.Addresses = []v1.NodeAddress{
		{Type: v1.NodeInternalIP, Address: k.address}, {Type: v1.NodeHostName, Address: k.node},
	}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(o.port)
	node.Status.Capacity = v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("64Gi"),
		v1.ResourcePods: *resource.NewQuantity(lastHost-firstHost, resource.DecimalSI),
	}
	node.Status.Allocatable = node.Status.Capacity
	node.Status.Conditions = []v1.NodeCondition{{
		Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady",
		Message: "runs programs", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	node.Status.NodeInfo = v1.NodeSystemInfo{
		KubeletVersion: "v1.36.3", OperatingSystem: "linux", Architecture: "amd64",
		ContainerRuntimeVersion: "minicluster://1", OSImage: "none", KernelVersion: "host",
	}
	if _, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return err
	}
	pods, err := k.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		k.net.skip(pods.Items[i].Status.PodIP)
	}
	return nil
}

func (k *kubelet) upsert(ctx context.Context, pod *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[pod.UID]; w != nil {
		w.update(pod)
		return
	}
	over := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
	elsewhere := pod.Spec.NodeName != "" && pod.Spec.NodeName != k.node
	if ctx.Err() != nil || elsewhere || over && pod.DeletionTimestamp == nil {
		return
	}
	w := newWorker(k, pod)
	k.workers[pod.UID] = w
	k.running.Add(1)
	go func() {
		defer k.running.Done()
		w.run(ctx)
		k.mu.Lock()
		delete(k.workers, pod.UID)
		k.mu.Unlock()
	}()
}

func (k *kubelet) remove(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	pod, ok := object.(*v1.Pod)
	if !ok {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[pod.UID]; w != nil {
		w.update(nil)
	}
}

// container finds one that runs, or has run, here.
func (k *kubelet) container(namespace, pod, name string) *container {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.workers {
		w.mu.Lock()
		p, c := w.pod, w.find(name)
		w.mu.Unlock()
		if p.Namespace == namespace && p.Name == pod {
			return c
		}
	}
	return nil
}
