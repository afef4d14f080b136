VERBS = {
    "list": list_migrations, "judge": judge, "plan": plan, "migrate": migrate, "verify": verify, "fit": fit,
    "reverse": plan_reverse, "return": find_return, "unapply": unapply, "collect": collect, "backup": backup,
    "connection": share_connection, "http": check_http, "answers": share_answers,
}

main()
