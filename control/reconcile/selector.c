// SPDX-License-Identifier: Apache-2.0
/*
 * selector.c: recursive descent, one function per line of the grammar in selector.h.
 *
 * Nesting is bounded by SELECTOR_DEPTH_MAX (parentheses and negations), the length of an expression
 * by that of an annotation. Evaluation walks the tree.
 */
#include "control/reconcile/selector.h"

#include <errno.h>

#define SELECTOR_DEPTH_MAX 64
#define SELECTOR_LABEL_MAX 512
#define SELECTOR_BYTES_MAX 8192

enum selector_op {
	SELECTOR_ALL = 0,
	SELECTOR_OR,
	SELECTOR_AND,
	SELECTOR_NOT,
	SELECTOR_HAS,
	SELECTOR_EQ,
	SELECTOR_NE,
	SELECTOR_IN,
	SELECTOR_NOT_IN,
	SELECTOR_CONTAINS,
	SELECTOR_STARTS,
	SELECTOR_ENDS,
};

struct word {
	const struct word *next;
	struct str text;
};

struct selector {
	enum selector_op op;
	const struct selector *left, *right; /* of OR, AND; NOT has a left one */
	struct str label;
	const struct word *values; /* strings of a set, or the one string */
};

struct parser {
	struct str rest;
	size_t total;
	int depth;
	struct arena *arena;
	struct err *err;
};

static const struct selector *parse_or(struct parser *p);

static const struct selector *fail(struct parser *p, const char *expected)
{
	size_t at = p->total - p->rest.len;

	if (p->rest.len == 0)
		err_set(p->err, EINVAL, "%s expected at the end", expected);
	else
		err_set(p->err, EINVAL, "%s expected at byte %zu, before \"%.*s\"", expected, at,
			STR_FMT(str_first(p->rest, 20)));
	return NULL;
}

static void skip_blanks(struct parser *p)
{
	p->rest = str_trim(p->rest);
}

static bool take(struct parser *p, struct str token)
{
	skip_blanks(p);
	if (!str_starts(p->rest, token))
		return false;
	p->rest = str_from(p->rest, token.len);
	return true;
}

static bool is_label_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '.' || c == '/' || c == '-';
}

/* An operator in letters ends where a word ends. */
static bool take_word(struct parser *p, struct str word)
{
	struct str before;

	skip_blanks(p);
	before = p->rest;
	if (!take(p, word))
		return false;
	if (p->rest.len == 0 || !is_label_byte(p->rest.p[0]))
		return true;
	p->rest = before;
	return false;
}

/* Two words, with or without blanks between them: "not in", "startswith". */
static bool take_words(struct parser *p, struct str first, struct str second)
{
	struct str before = p->rest;

	if (take(p, first) && take_word(p, second))
		return true;
	p->rest = before;
	return false;
}

static bool take_label(struct parser *p, struct str *ret)
{
	size_t n = 0;

	skip_blanks(p);
	while (n < p->rest.len && n <= SELECTOR_LABEL_MAX && is_label_byte(p->rest.p[n]))
		n++;
	if (n == 0 || n > SELECTOR_LABEL_MAX)
		return false;
	*ret = str_first(p->rest, n);
	p->rest = str_from(p->rest, n);
	return true;
}

static const struct word *take_string(struct parser *p)
{
	struct word *w;
	ptrdiff_t end;
	char quote;

	skip_blanks(p);
	quote = p->rest.len ? p->rest.p[0] : '\0';
	end = quote == '"' || quote == '\'' ? str_find(str_from(p->rest, 1), quote) : -1;
	if (end < 0) {
		fail(p, "a string in quotes");
		return NULL;
	}
	w = arena_new(p->arena, struct word);
	w->text = arena_str(p->arena, str_first(str_from(p->rest, 1), (size_t)end));
	p->rest = str_from(p->rest, (size_t)end + 2);
	return w;
}

/* False after an error; an empty set leaves *ret NULL. Calico lets the last one have a comma, too. */
static bool take_set(struct parser *p, const struct word **ret)
{
	if (!take(p, STR("{"))) {
		fail(p, "{");
		return false;
	}
	while (!take(p, STR("}"))) {
		struct word *w = (struct word *)take_string(p);

		if (w == NULL)
			return false;
		w->next = *ret;
		*ret = w;
		if (take(p, STR(",")))
			continue;
		if (take(p, STR("}")))
			return true;
		fail(p, ", or }");
		return false;
	}
	return true;
}

static struct selector *node(struct parser *p, enum selector_op op)
{
	struct selector *s = arena_new(p->arena, struct selector);

	s->op = op;
	return s;
}

static const struct selector *with_string(struct parser *p, struct selector *s)
{
	s->values = take_string(p);
	return s->values != NULL ? s : NULL;
}

static const struct selector *with_set(struct parser *p, struct selector *s)
{
	return take_set(p, &s->values) ? s : NULL;
}

static const struct selector *parse_label_op(struct parser *p, struct str label)
{
	struct selector *s = node(p, SELECTOR_EQ);

	s->label = arena_str(p->arena, label);
	if (take(p, STR("==")))
		return with_string(p, s);
	s->op = SELECTOR_NE;
	if (take(p, STR("!=")))
		return with_string(p, s);
	s->op = SELECTOR_CONTAINS;
	if (take_word(p, STR("contains")))
		return with_string(p, s);
	s->op = SELECTOR_STARTS;
	if (take_words(p, STR("starts"), STR("with")))
		return with_string(p, s);
	s->op = SELECTOR_ENDS;
	if (take_words(p, STR("ends"), STR("with")))
		return with_string(p, s);
	s->op = SELECTOR_NOT_IN;
	if (take_words(p, STR("not"), STR("in")))
		return with_set(p, s);
	s->op = SELECTOR_IN;
	if (take_word(p, STR("in")))
		return with_set(p, s);
	return fail(p, "an operator (==, !=, in, not in, contains, starts with, ends with)");
}

static const struct selector *parse_has(struct parser *p)
{
	struct selector *s = node(p, SELECTOR_HAS);
	struct str label;

	if (!take_label(p, &label))
		return fail(p, "a label");
	s->label = arena_str(p->arena, label);
	return take(p, STR(")")) ? s : fail(p, ")");
}

static const struct selector *parse_atom(struct parser *p)
{
	const struct selector *s;
	struct str label;

	if (take(p, STR("("))) {
		s = parse_or(p);
		if (s == NULL)
			return NULL;
		return take(p, STR(")")) ? s : fail(p, "&&, || or )");
	}
	if (take(p, STR("all(")) || take(p, STR("global(")))
		return take(p, STR(")")) ? node(p, SELECTOR_ALL) : fail(p, ")");
	if (take(p, STR("has(")))
		return parse_has(p);
	if (!take_label(p, &label))
		return fail(p, "a label, has(label), all() or (");
	return parse_label_op(p, label);
}

static const struct selector *parse_not(struct parser *p)
{
	bool negated = false;
	const struct selector *atom;
	struct selector *s;

	while (take(p, STR("!")))
		negated = !negated;
	atom = parse_atom(p);
	if (atom == NULL || !negated)
		return atom;
	s = node(p, SELECTOR_NOT);
	s->left = atom;
	return s;
}

static const struct selector *join(struct parser *p, enum selector_op op,
	const struct selector *left, const struct selector *right)
{
	struct selector *s;

	if (right == NULL)
		return NULL;
	s = node(p, op);
	s->left = left;
	s->right = right;
	return s;
}

static const struct selector *parse_and(struct parser *p)
{
	const struct selector *s = parse_not(p);

	while (s != NULL && take(p, STR("&&")))
		s = join(p, SELECTOR_AND, s, parse_not(p));
	return s;
}

static const struct selector *parse_or(struct parser *p)
{
	const struct selector *s;

	if (p->depth == SELECTOR_DEPTH_MAX)
		return fail(p, "fewer parentheses");
	p->depth++;
	s = parse_and(p);
	while (s != NULL && take(p, STR("||")))
		s = join(p, SELECTOR_OR, s, parse_and(p));
	p->depth--;
	return s;
}

int selector_parse(struct str text, struct arena *arena, const struct selector **ret,
	struct err *err)
{
	struct parser p = {.arena = arena, .err = err};
	const struct selector *s;

	if (text.len > SELECTOR_BYTES_MAX)
		return err_set(err, EINVAL, "longer than %d bytes", SELECTOR_BYTES_MAX);
	p.rest = str_trim(text);
	p.total = (size_t)(p.rest.p - text.p) + p.rest.len;
	if (p.rest.len == 0) {
		*ret = NULL;
		return 0;
	}
	s = parse_or(&p);
	if (s == NULL)
		return -EINVAL;
	skip_blanks(&p);
	if (p.rest.len != 0) {
		fail(&p, "&&, || or the end");
		return -EINVAL;
	}
	*ret = s;
	return 0;
}

static bool in_set(const struct word *w, struct str v)
{
	for (; w != NULL; w = w->next)
		if (str_eq(w->text, v))
			return true;
	return false;
}

static bool contains(struct str s, struct str what)
{
	return what.len == 0 || memmem(s.p, s.len, what.p, what.len) != NULL;
}

static bool label_holds(const struct selector *s, struct str v)
{
	bool there = v.p != NULL;

	switch (s->op) {
	case SELECTOR_HAS:
		return there;
	case SELECTOR_EQ:
	case SELECTOR_IN:
		return there && in_set(s->values, v);
	case SELECTOR_NE:
	case SELECTOR_NOT_IN:
		return !there || !in_set(s->values, v);
	case SELECTOR_CONTAINS:
		return there && contains(v, s->values->text);
	case SELECTOR_STARTS:
		return there && str_starts(v, s->values->text);
	default:
		return there && str_ends(v, s->values->text);
	}
}

bool selector_matches(const struct selector *s, const struct kv_list *labels)
{
	if (s == NULL || s->op == SELECTOR_ALL)
		return true;
	switch (s->op) {
	case SELECTOR_OR:
		return selector_matches(s->left, labels) || selector_matches(s->right, labels);
	case SELECTOR_AND:
		return selector_matches(s->left, labels) && selector_matches(s->right, labels);
	case SELECTOR_NOT:
		return !selector_matches(s->left, labels);
	default:
		return label_holds(s, kv_find(labels, s->label));
	}
}
