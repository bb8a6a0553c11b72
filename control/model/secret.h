// SPDX-License-Identifier: Apache-2.0
/*
 * secret.h: Secret and ConfigMap, as far as a gateway has use for them: certificates, keys, the
 * access to other clusters. What else they hold is not kept.
 */
#pragma once

#include "control/model/object.h"

struct secret {
	struct str type;      /* "Opaque" when not said */
	struct kv_list known; /* of tls.crt, tls.key, ca.crt, kubeconfig, ...: bytes, decoded */
};

struct config_map {
	struct str ca; /* data["ca.crt"]; absent: none */
};
