// SPDX-License-Identifier: Apache-2.0
/*
 * list.h: doubly linked list whose links live inside the elements.
 *
 * A link that is on no list points to itself (list_init), so list_del is always safe and
 * list_is_linked answers at no cost. A list head is a link that is never an element.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define list_entry(l, type, member) ((type *)((char *)(l)-offsetof(type, member)))

#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current element may be removed or freed inside the loop. */
#define list_for_each_safe(it, head) \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
		it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_is_linked(const struct list *l)
{
	return l->next != l;
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

static inline void list_add_head(struct list *head, struct list *l)
{
	list_add_tail(head->next, l);
}

static inline void list_del(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

/* First element, unlinked; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *l = head->next;

	if (l == head)
		return NULL;
	list_del(l);
	return l;
}
