// SPDX-License-Identifier: Apache-2.0
/*
 * publish_epoch.c: who we are, across restarts.
 *
 * The lock file stays locked as long as this process lives; a second control on the same directory
 * ends with an error instead of fighting over the dataplanes. Two with different directories are
 * told apart by their epochs: dataplanes refuse the lower one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"

#define STATE_BYTES_MAX 256u

static int lock_take(struct publish *p, struct err *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/publish.lock", p->state_dir);
	p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->lock_fd < 0)
		return err_set(err, errno, "open %s: %s", path, strerror(errno));
	if (flock(p->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return err_set(err, EBUSY, "%s: another control process holds it", path);
	return 0;
}

int pub_epoch_write(const struct publish *p, struct err *err)
{
	char path[PATH_MAX], text[STATE_BYTES_MAX];
	int n = snprintf(text, sizeof(text),
		"epoch %" PRIu64 "\ngeneration %" PRIu64 "\nstructure %016" PRIx64 "\n", p->epoch,
		p->generation, p->structure);

	n += snprintf(text + n, sizeof(text) - (size_t)n, "crc %08x\n", crc32c(0, text, (size_t)n));
	snprintf(path, sizeof(path), "%s/publish.state", p->state_dir);
	return file_replace(path, text, (size_t)n, 0600, err);
}

/* False: there is none, or it is damaged. */
static bool pub_epoch_read(struct publish *p)
{
	char path[PATH_MAX], text[STATE_BYTES_MAX + 1];
	autofree char *data = NULL;
	uint64_t epoch, generation, structure;
	unsigned crc;
	int head = 0;
	size_t len;

	snprintf(path, sizeof(path), "%s/publish.state", p->state_dir);
	if (file_read(path, STATE_BYTES_MAX, (void **)&data, &len, NULL) != 0)
		return false;
	memcpy(text, data, len);
	text[len] = '\0';
	if (sscanf(text,
		    "epoch %" SCNu64 "\ngeneration %" SCNu64 "\nstructure %" SCNx64 "\n%ncrc %8x\n",
		    &epoch, &generation, &structure, &head, &crc) != 4 ||
		crc32c(0, text, (size_t)head) != crc) {
		log_error("publish", "msg=\"%s is damaged, epochs begin anew\"", path);
		return false;
	}
	p->epoch = epoch;
	p->generation = generation;
	p->structure = structure;
	return true;
}

int pub_epoch_open(struct publish *p, struct err *err)
{
	int rv = lock_take(p, err);

	if (rv != 0)
		return rv;
	p->fresh = !pub_epoch_read(p);
	p->epoch++;
	return pub_epoch_write(p, err);
}
