create table tickets (
  rank integer primary key,
  request varchar(20) not null,
  state varchar(10) not null check (state in ('called', 'done')),
  at timestamp with time zone not null
);
