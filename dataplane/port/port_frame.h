// SPDX-License-Identifier: Apache-2.0
/*
 * port_frame.h: how large a frame's buffer is; private to port/.
 */
#pragma once

#include "dataplane/port/port.h"

/* Ethernet header, one tag, and what TPACKET_V2 puts in front of a frame in its ring. */
#define PORT_FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + 4 + 66)

/* Bytes of a buffer for frames of <mtu>: 2048, or whole pages. */
uint16_t port_frame_size(uint16_t mtu);
