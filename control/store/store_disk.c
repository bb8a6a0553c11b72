// SPDX-License-Identifier: Apache-2.0
/*
 * store_disk.c: see store_disk.h. The checksum guards against accidents; whoever may write to our
 * state directory on purpose may do worse, so what passes it is still decoded as from a stranger.
 */
#include "control/store/store_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/model/remember.h"
#include "control/store/store_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"

#define MAGIC "sluice-objects "
#define VERSION "1"
#define HEAD_MAX 160u
#define END_MAX 40u

const struct store_disk_fault_info store_disk_fault_info[STORE_DISK_FAULT_COUNT] = {
	[STORE_DISK_OK] = {"", ""},
#define STORE_DISK_FAULT(NAME, name, help) [STORE_DISK_##NAME] = {name, help},
#include "control/store/store_disk.def"
#undef STORE_DISK_FAULT
};

static struct str head_of(struct str cluster, enum kind kind, char buf[HEAD_MAX])
{
	int n = snprintf(buf, HEAD_MAX, MAGIC VERSION " %.*s %.*s\n", STR_FMT(cluster),
		STR_FMT(kind_info[kind].name));

	bug_on(n < 0 || (unsigned)n >= HEAD_MAX);
	return (struct str){buf, (size_t)n};
}

static struct str end_of(uint32_t count, uint32_t crc, char buf[END_MAX])
{
	int n = snprintf(buf, END_MAX, "end %u %08x\n", count, crc);

	return (struct str){buf, (size_t)n};
}

/* --- writing --- */

static size_t text_size(const struct store_shot *s)
{
	size_t size = HEAD_MAX + END_MAX;

	for (uint32_t i = 0; i < s->count; i++)
		size += s->objects[i]->text.len + s->objects[i]->status.len + 2;
	return size;
}

static char *append(char *to, struct str s)
{
	if (s.len != 0)
		memcpy(to, s.p, s.len);
	return to + s.len;
}

int store_disk_text(const struct store_shot *s, char **ret, size_t *ret_len, struct err *err)
{
	size_t size = text_size(s);
	char head[HEAD_MAX], end[END_MAX], *text, *p;
	uint32_t count = 0;

	if (size > STORE_DISK_BYTES_MAX || s->count > STORE_DISK_OBJECTS_MAX)
		return err_set(err, EFBIG, "%u objects of %zu bytes are too many for a file",
			s->count, size);
	text = malloc(size);
	if (text == NULL)
		return err_set(err, ENOMEM, "no memory for %zu bytes", size);
	p = append(text, head_of(s->cluster, s->kind, head));
	for (uint32_t i = 0; i < s->count; i++) {
		if (s->objects[i]->text.len == 0)
			continue;
		p = append(p, s->objects[i]->text);
		*p++ = '\t';
		p = append(p, s->objects[i]->status);
		*p++ = '\n';
		count++;
	}
	p = append(p, end_of(count, crc32c(0, text, (size_t)(p - text)), end));
	*ret = text;
	*ret_len = (size_t)(p - text);
	return 0;
}

/* --- reading --- */

static uint32_t lines_of(struct str text)
{
	uint32_t n = 0;

	for (struct str rest = text; rest.len != 0; n++)
		str_cut(&rest, '\n');
	return n;
}

/* *ret: the records between head and end, if they are as they were written. */
static enum store_disk_fault check(const struct store_kind *k, struct str text, struct str *ret)
{
	char buf[HEAD_MAX], end[END_MAX];
	struct str head = head_of(k->cluster->name, k->kind, buf), body = text, last;
	ptrdiff_t at;
	uint32_t count;

	if (!str_starts(text, STR(MAGIC)))
		return STORE_DISK_FOREIGN;
	body.len--;
	at = str_rfind(body, '\n');
	last = str_from(text, (size_t)(at + 1));
	if (at < 0 || !str_starts(last, STR("end ")) || !str_ends(last, STR("\n")))
		return STORE_DISK_TRUNCATED;
	body.len = (size_t)(at + 1);
	count = lines_of(body) - 1; /* without the head */
	if (!str_eq(last, end_of(count, crc32c(0, body.p, body.len), end)))
		return STORE_DISK_CORRUPT;
	if (!str_starts(body, head))
		return STORE_DISK_FOREIGN;
	*ret = str_from(body, head.len);
	return count > STORE_DISK_OBJECTS_MAX ? STORE_DISK_TOO_LARGE : STORE_DISK_OK;
}

/* A new reference, or NULL. */
static json_t *object_of(struct str line)
{
	struct str text = str_cut(&line, '\t');
	json_t *object = json_loadb(text.len ? text.p : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *status = json_loadb(line.len ? line.p : "", line.len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(object) && json_is_object(status))
		json_object_set(object, "status", status);
	if (!json_is_object(object) || (status == NULL && line.len != 0)) {
		json_decref(object);
		object = NULL;
	}
	json_decref(status);
	return object;
}

static bool restore_line(struct store_kind *k, struct str line)
{
	json_t *object = object_of(line);
	bool ok = object != NULL && store_api_restore(k, object);

	json_decref(object);
	return ok;
}

bool store_disk_replace(struct store_kind *k, struct str line)
{
	json_t *object = object_of(line);
	bool ok = false;

	if (object != NULL) {
		store_api_delete(k, object);
		ok = store_api_restore(k, object);
	}
	json_decref(object);
	return ok;
}

enum store_disk_fault store_disk_parse(struct store_kind *k, struct str text,
	struct store_disk_result *ret)
{
	struct str rest;
	enum store_disk_fault fault = check(k, text, &rest);

	*ret = (struct store_disk_result){0};
	if (fault != STORE_DISK_OK || !object_is_remembered(k->kind))
		return fault;
	while (rest.len != 0) {
		if (restore_line(k, str_cut(&rest, '\n')))
			ret->objects++;
		else
			ret->invalid++;
	}
	return STORE_DISK_OK;
}

int store_disk_load(struct store_kind *k, const char *path, enum store_disk_fault *ret_fault,
	struct store_disk_result *ret, struct err *err)
{
	autofree void *data = NULL;
	size_t len;
	int rc = file_read(path, STORE_DISK_BYTES_MAX, &data, &len, err);

	if (rc == -ENOENT)
		return rc;
	if (rc < 0)
		*ret_fault = rc == -EFBIG ? STORE_DISK_TOO_LARGE : STORE_DISK_UNREADABLE;
	else
		*ret_fault = store_disk_parse(k, str_make(data, len), ret);
	if (rc == 0 && *ret_fault != STORE_DISK_OK)
		err_set(err, EINVAL, "%s: %s", path, store_disk_fault_info[*ret_fault].sentence);
	return 0;
}
