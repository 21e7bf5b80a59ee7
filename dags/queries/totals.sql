{# A template: values are bound where they stand, names are quoted. #}
create table {{ params.table | identifier }} (customer text, amount integer);
insert into {{ params.table | identifier }} values ({{ params.customer }}, 10), ({{ params.customer }}, 32), ('somebody else', 5);

select customer, sum(amount) as total
from {{ params.table | identifier }}
{% if params.only %}
where customer in ({% for name in params.only %}{{ name }}{% if not loop.last %}, {% endif %}{% endfor %})
{% endif %}
group by customer
order by total desc;
