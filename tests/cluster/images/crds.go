// SPDX-License-Identifier: Apache-2.0

// Package images names the modules whose CRDs the mini-cluster installs, so that go.mod keeps them.
package images

import (
	_ "sigs.k8s.io/gateway-api/pkg/consts"
	_ "sigs.k8s.io/mcs-api/pkg/apis/v1beta1"
)
