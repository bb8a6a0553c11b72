// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_tree.c: libyaml's events into a tree in an arena.
 *
 * The tree is built with an explicit stack, so its depth is ours to bound and not the C stack's.
 * Duplicates are found by comparing with the keys before, of which there are at most YAML_KEYS_MAX.
 */
#include "dataplane/yaml/yaml_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yaml.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"

struct frame {
	struct yaml_node *node;	   /* the open map or sequence */
	struct yaml_node *last;	   /* its last child so far */
	struct yaml_node *pending; /* map: a key that waits for its value */
};

struct builder {
	struct yaml_file *file;
	struct err *err;
	uint32_t nodes, depth;
	struct frame stack[YAML_DEPTH_MAX];
	struct yaml_node *last_doc;
	yaml_parser_t parser;
};

static int refuse(struct builder *b, const yaml_event_t *ev, const char *what)
{
	return err_set(b->err, EINVAL, "%s:%zu: %s", b->file->name, ev->start_mark.line + 1, what);
}

static struct yaml_node *node_new(struct builder *b, const yaml_event_t *ev, enum yaml_kind kind)
{
	struct yaml_node *n = arena_new(&b->file->arena, struct yaml_node);

	n->kind = kind;
	n->line = (uint32_t)ev->start_mark.line + 1;
	n->key_line = n->line;
	b->nodes++;
	return n;
}

static bool is_null_text(struct str s)
{
	return s.len == 0 || str_eq(s, STR("~")) || str_eq(s, STR("null")) ||
		str_eq(s, STR("Null")) || str_eq(s, STR("NULL"));
}

static void scalar_fill(struct builder *b, struct yaml_node *n, const yaml_event_t *ev)
{
	struct str s = str_make(ev->data.scalar.value, ev->data.scalar.length);

	n->quoted =
		ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || !ev->data.scalar.plain_implicit;
	n->text = arena_str(&b->file->arena, s);
	if (!n->quoted && is_null_text(s))
		n->kind = YAML_KIND_NULL;
}

/* At most YAML_KEYS_MAX keys; lengths differ early, so this is one pass of integer compares. */
static bool has_key(const struct yaml_node *map, struct str key)
{
	for (const struct yaml_node *n = map->first; n != NULL; n = n->next)
		if (str_eq(n->key, key))
			return true;
	return false;
}

/* A scalar in key position: opens the pair that the next event closes. */
static int take_key(struct builder *b, struct frame *top, const yaml_event_t *ev)
{
	struct str key;
	struct yaml_node *n;
	char text[160];

	if (ev->type != YAML_SCALAR_EVENT)
		return refuse(b, ev, "a key must be a plain word, not a map or a list");
	key = str_make(ev->data.scalar.value, ev->data.scalar.length);
	if (has_key(top->node, key)) {
		snprintf(text, sizeof(text), "%.100s: this key stands twice in one map",
			(const char *)ev->data.scalar.value);
		return refuse(b, ev, text);
	}
	if (top->node->count == YAML_KEYS_MAX)
		return refuse(b, ev, "more than 1024 keys in one map");
	n = arena_new(&b->file->arena, struct yaml_node);
	n->key = arena_str(&b->file->arena, key);
	n->key_line = (uint32_t)ev->start_mark.line + 1;
	top->pending = n;
	return 0;
}

/* The place where a new value goes: into the pending pair, onto the sequence, or a document. */
static struct yaml_node *place(struct builder *b, const yaml_event_t *ev, enum yaml_kind kind)
{
	struct frame *top = b->depth ? &b->stack[b->depth - 1] : NULL;
	struct yaml_node *n;

	if (top != NULL && top->pending != NULL) {
		n = top->pending;
		top->pending = NULL;
		n->kind = kind;
		n->line = (uint32_t)ev->start_mark.line + 1;
		b->nodes++;
	} else {
		n = node_new(b, ev, kind);
	}
	if (top == NULL)
		return n;
	if (top->last != NULL)
		top->last->next = n;
	else
		top->node->first = n;
	top->last = n;
	top->node->count++;
	return n;
}

static void add_document(struct builder *b, struct yaml_node *n)
{
	if (n->kind == YAML_KIND_NULL)
		return;
	if (b->last_doc != NULL)
		b->last_doc->next = n;
	else
		b->file->docs = n;
	b->last_doc = n;
	b->file->doc_count++;
}

static int check_decorations(struct builder *b, const yaml_event_t *ev, const yaml_char_t *anchor,
	const yaml_char_t *tag)
{
	if (anchor != NULL)
		return refuse(b, ev, "anchors (&name) are not supported, write the value out");
	if (tag != NULL && strcmp((const char *)tag, "!") != 0 &&
		strcmp((const char *)tag, YAML_STR_TAG) != 0)
		return refuse(b, ev, "tags (!type) are not supported, quote strings instead");
	return 0;
}

static int on_value(struct builder *b, const yaml_event_t *ev, enum yaml_kind kind,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct frame *top = b->depth ? &b->stack[b->depth - 1] : NULL;
	struct yaml_node *n;
	int rc = check_decorations(b, ev, anchor, tag);

	if (rc < 0)
		return rc;
	if (b->nodes == YAML_NODES_MAX)
		return refuse(b, ev, "more than 1048576 values in one file");
	if (top != NULL && top->node->kind == YAML_KIND_MAP && top->pending == NULL)
		return take_key(b, top, ev);
	n = place(b, ev, kind);
	if (kind == YAML_KIND_SCALAR) {
		scalar_fill(b, n, ev);
	} else {
		if (b->depth == YAML_DEPTH_MAX)
			return refuse(b, ev, "nested deeper than 64 levels");
		b->stack[b->depth++] = (struct frame){.node = n};
	}
	if (top == NULL)
		add_document(b, n);
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return on_value(b, ev, YAML_KIND_SCALAR, ev->data.scalar.anchor,
			ev->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		return on_value(b, ev, YAML_KIND_SEQ, ev->data.sequence_start.anchor,
			ev->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return on_value(b, ev, YAML_KIND_MAP, ev->data.mapping_start.anchor,
			ev->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		bug_on(b->depth == 0);
		b->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(b, ev, "aliases (*name) are not supported, write the value out");
	default:
		return 0;
	}
}

static int syntax_error(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_READER_ERROR)
		return err_set(b->err, EINVAL, "%s: byte %zu: %s", b->file->name, p->problem_offset,
			p->problem ? p->problem : "not readable text");
	return err_set(b->err, EINVAL, "%s:%zu: not YAML: %s%s%s", b->file->name, line,
		p->context ? p->context : "", p->context ? ", " : "",
		p->problem ? p->problem : "out of memory");
}

static int build(struct builder *b)
{
	yaml_event_t ev;
	bool done = false;
	int rc = 0;

	while (!done && rc == 0) {
		if (!yaml_parser_parse(&b->parser, &ev))
			return syntax_error(b);
		rc = on_event(b, &ev);
		done = ev.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	return rc;
}

int yaml_parse(struct str text, const char *name, struct yaml_file *ret, struct err *err)
{
	struct yaml_file file = {.docs = NULL};
	struct builder b = {.file = &file, .err = err};
	int rc;

	if (text.len > YAML_BYTES_MAX)
		return err_set(err, EINVAL, "%s: larger than 16 MiB", name);
	arena_init(&file.arena, 0);
	file.name = arena_str(&file.arena, str_of(name)).p;
	bug_on(!yaml_parser_initialize(&b.parser));
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.len ? text.p : ""),
		text.len);
	rc = build(&b);
	yaml_parser_delete(&b.parser);
	if (rc < 0) {
		arena_fini(&file.arena);
		return rc;
	}
	*ret = file;
	return 0;
}

static int read_whole(int fd, size_t size, char *buf, size_t *ret_len)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, buf + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret_len = have;
	return 0;
}

int yaml_read_file(const char *path, char **ret_text, size_t *ret_len, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *buf;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = errno;
		return err_set(err, rc, "%s: %s", path, strerror(rc));
	}
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file", path);
	if (st.st_size > (off_t)YAML_BYTES_MAX)
		return err_set(err, EINVAL, "%s: larger than 16 MiB", path);
	buf = malloc((size_t)st.st_size + 1);
	bug_on(buf == NULL);
	rc = read_whole(fd, (size_t)st.st_size, buf, ret_len);
	if (rc < 0) {
		free(buf);
		return err_set(err, -rc, "%s: %s", path, strerror(-rc));
	}
	*ret_text = buf;
	return 0;
}

int yaml_load(const char *path, struct yaml_file *ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0;
	int rc = yaml_read_file(path, &text, &len, err);

	return rc < 0 ? rc : yaml_parse(str_make(text, len), path, ret, err);
}

void yaml_file_fini(struct yaml_file *f)
{
	arena_fini(&f->arena);
	*f = (struct yaml_file){.docs = NULL};
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	struct str want = str_of(key);

	if (map == NULL || map->kind != YAML_KIND_MAP)
		return NULL;
	yaml_for_each(n, map) if (str_eq(n->key, want)) return n->kind == YAML_KIND_NULL ? NULL : n;
	return NULL;
}
