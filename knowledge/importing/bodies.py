"""Who owes what is due, and to whom, by the words around a date."""

import re
from collections.abc import Sequence

_HEAD = r"(?:各|有关|相关|所有|全部|省级|市级|县级|乡镇|中央|受支持|受理|拟?申报|示范|承办|项目|低风险|中高风险|贫困|牵头|上述|本省|被查|监测|样本|中选|入选|中标|参训|试点|重点|大型|骨干|平台|(?:20\d\d(?:[—\-至]20\d\d)?年度?)|[、和及]|商务|财政|扶贫|乡村振兴|农业农村|供销|邮政|快递|主管|行业|地|经济|信息化|发展改革|交通运输|市场监管|第三方|评价|审计|监理|验收|省|市|县|区|州|盟|自治区|团场|实施|建设|运营|培训|（[^）]{1,10}）)"
_PERSON = r"(?:[一-龥]{1,6}(?:者|申请人|负责人|代表人|持有人|供应商|承包商|商户|机关|开办方|运营方|承办方|委托方))"  # needs a verb after it
_KIND = (
    r"(?:(?!报送|督促|要求|指导|组织|会同|通知|支持|鼓励|引导|帮助|协助|责令|按照|对于|其他|以及|安排|委托)[一-龥]{2})"
)
_BODY = rf"(?:{_HEAD}){{0,12}}(?:主管部门|部门（单位）|部门|省份|(?:管理|监管|监督管理|乡村振兴|省|市)局|(?:合作社)?联合社|合作社|(?:合作)?总社|委员会|总部|商务厅|财政厅|商务局|财政局|农业农村局|供销社|商务部(?!门)|财政部(?!门)|三部门|(?:人民)?政府(?!采购|性|投资|购买|补贴|引导|主导|网|信息|规章)|示范县|申报县|试点县|县市区|县区|各[省市县区地](?!州)(?:（[^）]{{1,6}}）)?|各[乡镇](?:（[镇乡街道办事处、]{{1,6}}）|镇)?|各设区市|各市州|各州市|基地|申报主体|主体(?!责任|地位|功能|作用|工程|结构|信息)|(?:有关|相关|被查|受检)[县市区]|[一-龥]{{0,2}}人员(?=[^。；]{{0,12}}(?:应|须|需))|乡镇(?=$|[^，。；]{{0,2}}(?:在|于|应|须|要))|各?村(?:民委员|委)会|各村|[省市县乡镇][一-龥]{{2,6}}[办站所](?=$|[^，。；一-龥]|[应须要于在])|{_KIND}?(?:单位|企业|机构|公司)|合作社|院校|(?:专家|检查|督查|工作|评审|验收|评价)组|领导小组|专班|(?<=[各示])县|(?:入选|支持|试点|受助|被查|获批)县|省商务厅|省财政厅|[我本省市县](?:厅|局|委|办)|(?<=[输村政务源])[局厅]|[省市县区][一-龥]{{2,12}}?[局厅](?![长面限部势])|各县|各地|各乡镇|各[一-龥]{{1,4}}平台|商户(?=[向应须在])|{_PERSON}(?=[^。；，]{{0,3}}(?:应|须|需|要|可|在|于|自|不能|对)|[^。；，]{{0,20}}的[，,](?:应|须|要)))"
BODY = re.compile(rf"{_BODY}(?:(?:、|和|及|会同)(?:{_BODY}))*")
_NOT_OWING = re.compile(r"(?:报送?|上报|会同|商|配合|反馈|抄送|给|至|送|对|与|经|报经|委托|向|到|由.{0,3}报)$")
_DOES = re.compile(r"(?:将[于在]|应|要|须|需|负责|力争|必须|务必|于|在|原则上|每|自收到|自受理)")
_OPENS = re.compile(r"(?:^|[，,；：:）])(?:其中[，,])?(?:由)?$")
_UNIT = r"(?:主管部门|部门|机关|机构|财政部(?!门)|商务部(?!门)|(?:厅|局|委|社|会|中心)(?![一-龥]{0,10}(?:[科室股]|处(?![理置罚分]))|[一-龥]{0,3}[科股])|[司处科股]|办公室|研究室|办|政府(?!研究室|办)|中心(?![科室])|专班(?!办)|平台)"
_RECEIVES = re.compile(
    rf"(?:报送|上报|送达|送交|反馈|提交|抄送|函报|函告|报告|报备|告知|报|寄送|发送|(?<=邮箱|内网)发|上?交(?=至|到|给)|(?<!配)送)(?:至|给|到|于)?(?P<after>(?!及|和|、|由|期)(?:[^，。；（()）的报]|[（(][^）)]{{1,4}}[）)]){{0,22}}?(?:{_UNIT}|[我本][厅局委办部](?![一-龥]{{1,12}}[科室处股])))(?![一-龥]{{0,3}}(?:的|备案的))"
    rf"|发至(?P<sent>[^，。；]{{1,20}}?{_UNIT})|告知(?P<told>[^，。；]{{1,8}}(?:者|人))"
    r"|[向到](?P<toward>[^，。；]{1,22}?(?:部门|部|厅|局|委|司|处|办|政府|中心|机关|机构))(?:作情况说明|说明情况|汇报|报送|提交|报告|申请|备案|提出|反馈|推荐|登记)"
)
_SUBJECT = re.compile(
    r"(?:^|[，,；：:）)条 \u3000])(?!确需|逾期|并|因|如|对|经|在|由|按|其|均|全部|最|但|请|应|须|需|自)(?P<who>[一-龥]{2,10}?)(?:应当|应|须|必须|不再|不得|自愿|有下列|不能)"
    r"|的(?P<such>[一-龥]{2,8})[，,](?:应当|应|须|必须)"
)
_BACK = 20  # sentences in which a body is still looked for


def find_owner(prefix: str, before: Sequence[str], rest: str, addressee: str) -> str:
    """The nearest body named as the doer: right after the date, before it, in the sentences before, else the addressee."""
    follows = re.match(rf"[，,]?(?P<asked>请|由)?(?P<who>{BODY.pattern})", rest)  # 3月15日前，各市州将…
    if follows and (follows["asked"] or not BODY.search(re.split(r"[，,；]", prefix)[-1])):
        return follows["who"]
    for place, text in enumerate((prefix.rpartition("；")[2], prefix, *before[:-_BACK:-1])):
        named = [match for match in BODY.finditer(text) if not _NOT_OWING.search(text[: match.start()])]
        doers = [
            match
            for match in named
            if _DOES.match(text[match.end() :] or "应") or text[: match.start()].endswith(("请", "由"))
        ]
        openers = [match for match in named if _OPENS.search(text[: match.start()])]
        for kind in (doers, openers, named):
            if kind:
                return re.sub(r"^（[一二三四五六七八九十]+）|^[、和及]+|、+$", "", kind[-1].group())
        if place == 1 and (subject := _SUBJECT.search(text)):
            return subject["who"] or subject["such"]
    return addressee


def find_receiver(near: str, prefix: str) -> str:
    """The body to which it is reported, told or sent; empty where none is named."""
    found = _RECEIVES.search(near) or _RECEIVES.search(prefix)
    return next(filter(None, found.groups()), "") if found else ""
